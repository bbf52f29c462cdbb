/** The worker threads of all queues, as the main thread sees them: start, publish, seed, count, stop. */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { close, eventfd, signalEventfd } from '../../sys/libc.ts';
import {
  CONTROL_SENT,
  CONTROL_WORDS,
  COUNTERS,
  type Command,
  type WorkerReport,
  type WorkerSetup,
} from './protocol.ts';

export interface QueueWorkersOptions extends Pick<WorkerSetup, 'failOpen' | 'judgedBit' | 'rejectBit' | 'offload'> {
  /** Number of the first queue; the others follow. */
  readonly firstQueue: number;
  /** Number of queues, and of threads. */
  readonly count: number;
  /** Flows of each worker. */
  readonly flowCapacity: number;
  /** A worker that ended without being told to. The packets of its queue are dropped, or pass under fail open. */
  readonly onFailure: (queue: number, error: Error) => void;
}

/** What the kernel counts for one queue (/proc/net/netfilter/nfnetlink_queue). */
export interface KernelQueue {
  readonly queue: number;
  /** Packets that wait now. */
  readonly waiting: number;
  /** Dropped because the queue was full. */
  readonly droppedByKernel: number;
  /** Dropped because the socket's buffer was full. */
  readonly droppedByUser: number;
}

export class QueueWorkers {
  readonly #workers: readonly QueueWorker[];
  readonly #options: QueueWorkersOptions;

  private constructor(options: QueueWorkersOptions, workers: readonly QueueWorker[]) {
    this.#options = options;
    this.#workers = workers;
  }

  /** Starts one thread a queue, in the network namespace of the calling thread, and waits until all queues are bound. Throws what the first thread that failed threw. */
  static async start(options: QueueWorkersOptions, table: SharedArrayBuffer): Promise<QueueWorkers> {
    const workers = Array.from(
      { length: options.count },
      (_, i) => new QueueWorker(options, options.firstQueue + i, table),
    );
    try {
      await Promise.all(workers.map((worker) => worker.started));
    } catch (error) {
      await Promise.allSettled(workers.map((worker) => worker.stop()));
      throw error;
    }
    return new QueueWorkers(options, workers);
  }

  /** Every worker carries the command out; resolves when all have, and all verdicts given before are in force. */
  async command(command: Command): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.command(command)));
  }

  /** The counters of all workers added up; see protocol.ts for their places. */
  counters(): Float64Array {
    const sum = new Float64Array(COUNTERS);
    for (const worker of this.#workers) {
      for (let i = 0; i < COUNTERS; i++) sum[i] = (sum[i] ?? 0) + (worker.counters[i] ?? 0);
    }
    return sum;
  }

  /** The kernel's side of these queues, in the network namespace of the calling thread. */
  kernelQueues(): KernelQueue[] {
    const last = this.#options.firstQueue + this.#options.count;
    return readFileSync('/proc/thread-self/net/netfilter/nfnetlink_queue', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter(([queue]) => queue !== undefined && queue >= this.#options.firstQueue && queue < last)
      .map(([queue = 0, , waiting = 0, , , droppedByKernel = 0, droppedByUser = 0]) => ({
        queue,
        waiting,
        droppedByKernel,
        droppedByUser,
      }));
  }

  /** Ends all threads and gives the queues up. */
  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }
}

class QueueWorker {
  readonly counters: Float64Array;
  readonly started: Promise<void>;
  readonly #wake = eventfd();
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #pending = new Map<number, () => void>();
  #ended = false;

  constructor(options: QueueWorkersOptions, queue: number, table: SharedArrayBuffer) {
    const { failOpen, judgedBit, rejectBit, offload, flowCapacity, onFailure } = options;
    const counters = new SharedArrayBuffer(COUNTERS * Float64Array.BYTES_PER_ELEMENT);
    const control = this.#control.buffer as SharedArrayBuffer;
    this.counters = new Float64Array(counters);
    const setup: WorkerSetup = {
      queue,
      wake: this.#wake,
      failOpen,
      judgedBit,
      rejectBit,
      offload,
      flowCapacity,
      table,
      counters,
      control,
    };
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.#worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), {
      workerData: setup,
      name: `podfence-queue-${queue}`,
    });
    const started = Promise.withResolvers<void>();
    const exited = Promise.withResolvers<void>();
    this.started = started.promise;
    this.#exited = exited.promise;
    let failure: Error | undefined;
    this.#worker.on('message', (report: WorkerReport) => {
      if (report.type === 'started') return started.resolve();
      this.#pending.get(report.number)?.();
      this.#pending.delete(report.number);
    });
    this.#worker.on('error', (error) => {
      failure = error instanceof Error ? error : new Error(String(error));
    });
    this.#worker.on('exit', (code) => {
      this.#ended = true;
      close(this.#wake);
      const error = failure ?? (code === 0 ? undefined : new Error(`the worker of queue ${queue} ended with ${code}`));
      started.reject(error ?? new Error(`the worker of queue ${queue} ended before it started`));
      if (error !== undefined) onFailure(queue, error);
      for (const done of this.#pending.values()) done();
      this.#pending.clear();
      exited.resolve();
    });
  }

  /** Resolves when the worker has carried it out, or has ended. */
  command(command: Command): Promise<void> {
    if (this.#ended) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    // The message is in the port before the count says so: a worker that sees the count finds it.
    const number = Atomics.load(this.#control, CONTROL_SENT) + 1;
    this.#pending.set(number, resolve);
    this.#worker.postMessage({ number, command });
    Atomics.store(this.#control, CONTROL_SENT, number);
    signalEventfd(this.#wake);
    return promise;
  }

  async stop(): Promise<void> {
    void this.command({ type: 'stop' });
    await this.#exited;
  }
}
