/** How much a step of the packet path allocates. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** As often as a step is run. */
export const PACKETS = 1_000_000;
/** Between two looks at the heap: few enough that what they allocate fits into the young generation and is seen before it is collected. */
const CHUNK = 10_000;
/** Bytes per million steps that are noise: an allocation for every hundredth step is at least 160,000. */
export const NOISE = 50_000;

/** Bytes that were allocated while `step` ran a million times; the least of a few rounds, as the compiler allocates now and then too. */
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

/** Bytes that the heap grew by, 0 if it shrank. */
function growth(work: () => void): number {
  const before = process.memoryUsage().heapUsed;
  work();
  return Math.max(0, process.memoryUsage().heapUsed - before);
}
