/**
 * Reads manifests in a thread of its own: the calling thread goes on, whatever time and memory that
 * takes.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { LoadOptions } from './load.ts';
import type { ReadManifests, ReadRequest, ReadResponse } from './reading-messages.ts';

/** The thread's heap in MiB. A thread that needs more ends, and its reading fails. */
const HEAP = 1024;
/** Milliseconds after which a reading fails. */
const PATIENCE = 120_000;

export class ReadingThread {
  #worker: Worker | undefined;
  readonly #patience: number;

  constructor(patience = PATIENCE) {
    this.#patience = patience;
  }

  /**
   * Reads as loadManifests does. Only one call may run at a time.
   * @throws Error if the thread ends, perhaps for lack of memory, or takes too long
   */
  async read(paths: readonly string[], options: Omit<LoadOptions, 'stdin'>): Promise<ReadManifests> {
    const worker = this.#worker ?? this.#start();
    const outcome = Promise.withResolvers<ReadManifests>();
    const onMessage = ({ manifests, failure }: ReadResponse) =>
      manifests === undefined ? outcome.reject(new Error(failure)) : outcome.resolve(manifests);
    const onError = (error: Error) => outcome.reject(endOf(error));
    const onExit = () => outcome.reject(new Error('the thread that read the manifests ended'));
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    const timer = setTimeout(() => {
      outcome.reject(new Error(`gave up reading the manifests after ${this.#patience / 1000} s`));
      void this.stop();
    }, this.#patience);
    worker.postMessage({ paths, options } satisfies ReadRequest);
    try {
      return await outcome.promise;
    } finally {
      clearTimeout(timer);
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
    }
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): Worker {
    const program = new URL(`./reading-worker${extname(import.meta.filename)}`, import.meta.url);
    const worker = new Worker(program, {
      name: 'podfence-manifests',
      resourceLimits: { maxOldGenerationSizeMb: HEAP },
    });
    const forget = () => {
      if (this.#worker === worker) this.#worker = undefined;
    };
    worker.on('error', forget).on('exit', forget);
    this.#worker = worker;
    return worker;
  }
}

function endOf(error: Error): Error {
  const isMemory = 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
  return isMemory ? new Error(`the manifests are too large: reading them needs more than ${HEAP} MiB`) : error;
}
