/**
 * V8 settings that suit an agent better than the defaults, which are meant for programs that
 * allocate much and spend their time in few places.
 */
import { setFlagsFromString } from 'node:v8';

/**
 * Lets V8 inline more of the packet path, in functions compiled from now on, in all threads. Its
 * limits are meant for code that is rarely hot, and cost a packet a fifth of its time here
 * (bench/README.md). The defaults are 920 and 460 (`node --v8-options`).
 */
export function inlineMore(): void {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=4000');
  setFlagsFromString('--max-inlined-bytecode-size=1500');
}

/**
 * Keeps the space for young objects at its initial size. While the agent lists a large cluster, V8
 * would let that space grow to over 100 MB, most of it garbage that is not collected yet.
 * Collecting more often costs listing no measurable time, and each collection is short
 * (bench/README.md).
 */
export function keepYoungSpaceSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
