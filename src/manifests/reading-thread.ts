/** Manifests read in a thread of their own: however long that takes, and whatever memory, the calling thread goes on. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { LoadOptions } from './load.ts';
import type { ReadManifests, ReadRequest, ReadResponse } from './reading-messages.ts';

/** Heap of the thread, in MiB. One that needs more ends, and the reading fails. */
const HEAP = 1024;
/** A reading that takes longer fails, in ms. */
const PATIENCE = 120_000;

export class ReadingThread {
  #worker: Worker | undefined;
  readonly #patience: number;

  constructor(patience = PATIENCE) {
    this.#patience = patience;
  }

  /**
   * As loadManifests. One at a time.
   * @throws Error where the thread ended, for lack of memory perhaps, or took too long
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
      outcome.reject(new Error(`reading the manifests took longer than ${this.#patience / 1000} s: given up`));
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
  return isMemory ? new Error(`the manifests are too much: reading them needs more than ${HEAP} MiB`) : error;
}
