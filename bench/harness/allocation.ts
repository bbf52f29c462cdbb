/** What code allocates. Runs in a child with `--expose-gc`. */
import type { Steps } from './cpu-time.ts';

const STEPS = 1_000_000;
/** Between two looks at the heap: few enough that what they allocate fits into the young generation and is seen before it is collected. */
const CHUNK = 10_000;
const ROUNDS = 5;

/**
 * Bytes that a million steps allocate, for each round. What looking costs is taken off, so that code which allocates nothing reads 0, or a
 * few thousand bytes where the compiler worked meanwhile.
 */
export function allocatedPerMillion(steps: Steps): number[] {
  if (gc === undefined) throw new Error('this process was started without --expose-gc');
  const collect = gc;
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
