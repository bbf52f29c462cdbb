/** The thread that runs one target's inputs: whoever started it sees a hang or a full heap from outside, and ends it. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { describe, minimised } from './faults.ts';
import { CURRENT, type FromWorker, INPUTS, type ToWorker } from './messages.ts';
import { Random } from './random.ts';
import { loadTarget } from './targets.ts';

/** Until here caches fill and code is compiled. */
const WARM_UP = 300;
/** What a run may keep: megabytes after a full collection. */
const MOST_GROWTH = 48;
const MINIMISING_MS = 2000;
/** A run goes on for this long, however long the machine took to begin it. */
const LEAST_MS = 500;

const { name, seed, first, until, ignored, progress } = workerData as ToWorker;
const port = parentPort as NonNullable<typeof parentPort>;
const places = new Int32Array(progress);
setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

function megabytes(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

async function main(): Promise<FromWorker> {
  const target = await loadTarget(name);
  port.postMessage('started');
  const deadline = Math.max(until, Date.now() + LEAST_MS);
  let before = Number.NaN;
  for (let index = first; Date.now() < deadline; index++) {
    if (index - first === WARM_UP) before = megabytes();
    Atomics.store(places, CURRENT, index);
    const input = target.generate(new Random(seed, index));
    try {
      await target.run(input);
    } catch (error) {
      const { message, signature } = describe(error);
      if (!ignored.includes(signature)) {
        // An hour may go into making it smaller, as far as the watch over hangs is concerned.
        Atomics.store(places, CURRENT, -1);
        const small = await minimised(target, input, signature, MINIMISING_MS);
        return { fault: { message, signature, index, input: small } };
      }
    }
    Atomics.add(places, INPUTS, 1);
    // Timers and messages get their turn; without it an asynchronous target would never let them.
    if (index % 256 === 0) await new Promise<void>((resume) => setImmediate(resume));
  }
  const growth = megabytes() - before;
  return growth > MOST_GROWTH ? { growth } : {};
}

port.postMessage(await main());
