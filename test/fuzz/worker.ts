/**
 * The thread that runs one target's inputs. The runner detects hangs and a full heap from outside,
 * and ends the thread.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { describe, minimised } from './faults.ts';
import { CURRENT, type FromWorker, INPUTS, type ToWorker } from './messages.ts';
import { Random } from './random.ts';
import { loadTarget } from './targets.ts';

/** Inputs during which caches fill and code is compiled. */
const WARM_UP = 300;
/** Megabytes that a run may keep after a full collection. */
const MOST_GROWTH = 48;
const MINIMISING_MS = 2000;
/** Shortest length of a run, however long the machine took to start it. */
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
        // The runner does not treat reducing the input as a hang, however long it takes.
        Atomics.store(places, CURRENT, -1);
        const small = await minimised(target, input, signature, MINIMISING_MS);
        return { fault: { message, signature, index, input: small } };
      }
    }
    Atomics.add(places, INPUTS, 1);
    // Lets timers and messages run; without it an asynchronous target never would.
    if (index % 256 === 0) await new Promise<void>((resume) => setImmediate(resume));
  }
  const growth = megabytes() - before;
  return growth > MOST_GROWTH ? { growth } : {};
}

port.postMessage(await main());
