/** Settings of V8 that serve an agent better than its defaults, which are made for programs that allocate much and run hot in few places. */
import { setFlagsFromString } from 'node:v8';

/**
 * Lets V8 inline more of what the packet path calls, in functions that it compiles from now on, in all threads: its limits are meant for code that is
 * rarely hot, and cost a packet a fifth of its time here (bench/README.md). The defaults are 920 and 460 (`node --v8-options`).
 */
export function inlineMore(): void {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=4000');
  setFlagsFromString('--max-inlined-bytecode-size=1500');
}

/**
 * Keeps the space for young objects as small as it is. Listing a large cluster would have it grow to over 100 MB, most of it garbage that nobody looked
 * for yet; collecting it more often costs listing no time that could be measured, and each collection is short (bench/README.md).
 */
export function keepYoungSpaceSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
