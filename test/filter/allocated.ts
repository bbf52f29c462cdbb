/** Measures how much a step of the packet path allocates. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** How often a step is run. */
export const PACKETS = 1_000_000;
/**
 * Steps between two readings of the heap size: few enough that their garbage fits into the young
 * generation and is counted before it is collected.
 */
const CHUNK = 10_000;
/**
 * Bytes per million steps that count as noise. An allocation in every hundredth step is at least
 * 160,000.
 */
export const NOISE = 50_000;

/**
 * Returns the bytes that a million runs of `step` allocate: the least of a few rounds, because the
 * compiler sometimes allocates too.
 */
export function allocated(step: (i: number) => void): number {
  for (let i = 0; i < PACKETS / 4; i++) step(i);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3 && least > NOISE; round++) {
    collectGarbage();
    let bytes = 0;
    const look = growth(() => {});
    for (let done = 0; done < PACKETS; done += CHUNK) {
      bytes += growth(() => {
        for (let i = done; i < done + CHUNK; i++) step(i);
      });
      bytes -= look;
    }
    least = Math.min(least, bytes);
  }
  return least;
}

/** Returns the bytes that the heap grew by, 0 if it shrank. */
function growth(work: () => void): number {
  const before = process.memoryUsage().heapUsed;
  work();
  return Math.max(0, process.memoryUsage().heapUsed - before);
}
