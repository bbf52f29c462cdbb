/** What code allocates. Runs in a child with `ALLOCATION_FLAGS`. */
import type { Steps } from './cpu-time.ts';

/** A space for young objects, of so many MB, that is not collected between two looks at the heap: what is collected cannot be seen. */
export const ALLOCATION_FLAGS = ['--expose-gc', '--min-semi-space-size=64'] as const;

const STEPS = 1_000_000;
/** Between two looks at the heap. Each look allocates some bytes of its own, not always as many. */
const CHUNK = 100_000;
/** In the first of them V8 may still be compiling: some kilobytes. */
const ROUNDS = 7;
/** Before the first round. */
const LOOKS = 20;

/** Bytes that a million steps allocate, for each round. What looking costs is taken off, so that code which allocates nothing reads 0. */
export function allocatedPerMillion(steps: Steps): number[] {
  if (gc === undefined) throw new Error('this process was started without --expose-gc');
  const collect = gc;
  // The first looks allocate more than later ones.
  for (let look = 0; look < LOOKS; look++) growth(() => 0);
  return Array.from({ length: ROUNDS }, () => {
    collect();
    let bytes = 0;
    for (let done = 0; done < STEPS; done += CHUNK) bytes += growth(() => steps(CHUNK)) - growth(() => 0);
    return Math.max(0, bytes);
  });
}

/** Bytes that the heap grew by, 0 if it shrank. */
function growth(work: () => number): number {
  const before = process.memoryUsage().heapUsed;
  work();
  return Math.max(0, process.memoryUsage().heapUsed - before);
}
