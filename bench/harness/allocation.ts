/** Measures what code allocates. Runs in a child with `ALLOCATION_FLAGS`. */
import type { Steps } from './cpu-time.ts';

/**
 * Young space of this many MB, so that nothing is collected between two readings of the heap:
 * collected objects would not be counted.
 */
export const ALLOCATION_FLAGS = ['--expose-gc', '--min-semi-space-size=64'] as const;

const STEPS = 1_000_000;
/**
 * Steps between two readings of the heap. Each reading allocates some bytes itself, not always the
 * same number.
 */
const CHUNK = 100_000;
/** V8 may still be compiling in the first rounds, which adds some kilobytes. */
const ROUNDS = 7;
/** Readings before the first round. */
const LOOKS = 20;

/**
 * Returns the bytes that a million steps allocate, for each round. The cost of reading the heap is
 * subtracted, so that code that allocates nothing reads 0.
 */
export function allocatedPerMillion(steps: Steps): number[] {
  if (gc === undefined) throw new Error('this process was started without --expose-gc');
  const collect = gc;
  // The first readings allocate more than later ones.
  for (let look = 0; look < LOOKS; look++) growth(() => 0);
  return Array.from({ length: ROUNDS }, () => {
    collect();
    let bytes = 0;
    for (let done = 0; done < STEPS; done += CHUNK) bytes += growth(() => steps(CHUNK)) - growth(() => 0);
    return Math.max(0, bytes);
  });
}

/** Returns the bytes by which the heap grew, 0 if it shrank. */
function growth(work: () => number): number {
  const before = process.memoryUsage().heapUsed;
  work();
  return Math.max(0, process.memoryUsage().heapUsed - before);
}
