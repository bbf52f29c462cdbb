/** Runs a target for a while in a separate thread, and ends the thread if an input hangs. */
import { Worker } from 'node:worker_threads';
import type { Fault } from './faults.ts';
import { CURRENT, type FromWorker, INPUTS, type ToWorker } from './messages.ts';
import { Random } from './random.ts';
import { loadTarget } from './targets.ts';

/** An input that takes longer than this hangs, even on a busy machine. */
const INPUT_BOUND_MS = 20_000;
const LOOK_MS = 250;
/** Limit of the thread's heap. */
const HEAP_MEGABYTES = 512;

export interface Round {
  readonly name: string;
  readonly seed: number;
  /** Index of the first input. @default 0 */
  readonly first?: number;
  /** When to end, in the time of Date.now(). */
  readonly until: number;
  /** Signatures of known faults. @default none */
  readonly ignored?: readonly string[];
  readonly signal?: AbortSignal;
}

export interface Outcome {
  readonly inputs: number;
  /** How long inputs ran. */
  readonly milliseconds: number;
  readonly fault?: Fault;
}

/** Returns the command that runs one input again. */
export function commandOf(name: string, seed: number, index: number): string {
  return `npm run fuzz -- --target ${name} --seed ${seed} --input ${index}`;
}

export async function runRound({ name, seed, first = 0, until, ignored = [], signal }: Round): Promise<Outcome> {
  const progress = new SharedArrayBuffer(8);
  const places = new Int32Array(progress);
  Atomics.store(places, CURRENT, -1);
  const workerData: ToWorker = { name, seed, first, until, ignored, progress };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
  });
  let started = Date.now();
  worker.once('message', () => {
    started = Date.now();
  });
  const end = await ended(worker, places, signal);
  const outcome = { inputs: Atomics.load(places, INPUTS), milliseconds: Date.now() - started };
  if ('fault' in end) return { ...outcome, fault: end.fault };
  if ('growth' in end) {
    const message = `${end.growth.toFixed(0)} MB are kept after ${outcome.inputs} inputs`;
    return { ...outcome, fault: { message, signature: 'memory grows', index: first, input: new Uint8Array() } };
  }
  if ('death' in end) {
    const index = Math.max(first, Atomics.load(places, CURRENT));
    const { generate } = await loadTarget(name);
    const input = generate(new Random(seed, index));
    return { ...outcome, fault: { message: end.death, signature: end.death, index, input } };
  }
  return outcome;
}

type End = Required<Pick<FromWorker, 'fault'>> | Required<Pick<FromWorker, 'growth'>> | { death: string } | object;

async function ended(worker: Worker, places: Int32Array, signal: AbortSignal | undefined): Promise<End> {
  const { promise, resolve } = Promise.withResolvers<End>();
  worker.on('message', (message: FromWorker | 'started') => {
    if (message !== 'started') resolve(message);
  });
  worker.once('error', (error) => resolve({ death: `the thread ended: ${error.message}` }));
  worker.once('exit', (code) => resolve({ death: `the thread ended with code ${code}` }));
  const stop = () => resolve({});
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  let current = -1;
  let since = Date.now();
  const watch = setInterval(() => {
    const now = Atomics.load(places, CURRENT);
    if (now !== current || now < 0) {
      current = now;
      since = Date.now();
    } else if (Date.now() - since > INPUT_BOUND_MS) {
      resolve({ death: `an input did not end within ${INPUT_BOUND_MS / 1000} s` });
    }
  }, LOOK_MS);
  try {
    return await promise;
  } finally {
    clearInterval(watch);
    signal?.removeEventListener('abort', stop);
    await worker.terminate();
  }
}
