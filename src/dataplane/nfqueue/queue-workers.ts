/** The worker threads of all queues, as the main thread sees them: start, publish, seed, count, stop. */
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { close, eventfd, signalEventfd } from '../../sys/libc.ts';
import { WorkerCounters } from './counters.ts';
import { type FlowEvent, FlowEvents } from './flow-events.ts';
import {
  CONTROL_SENT,
  CONTROL_SOCKET,
  CONTROL_WORDS,
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
  /** Whether workers tell of flows; see `drainFlowEvents`. @default false */
  readonly flowEvents?: boolean;
  /** Calls `start` in the network namespace of the queues. @default that of the calling thread */
  readonly inNamespace?: <T>(start: () => T) => T;
  /**
   * Called for every new worker before it binds its queue, with a way to command it alone: for what it must know before its first packet.
   * Gives back a number that `bind` hands on.
   */
  readonly beforeBind?: (command: (command: Command) => Promise<void>) => Promise<number>;
  /** A worker has ended without being told to. Until it is replaced the packets of its queue are dropped, or pass under fail open. */
  readonly onFailure: (queue: number, error: Error) => void;
  /** A worker has taken the place of one that had ended: it judges by the table in force, and knows no flow. */
  readonly onReplaced: (queue: number) => void;
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

/** Between two attempts to replace a worker that cannot start, in ms. */
const RETRY = 1000;

export type { Command } from './protocol.ts';

export class QueueWorkers {
  readonly #options: QueueWorkersOptions;
  readonly #workers: QueueWorker[];
  /** What workers counted that have ended. */
  readonly #ended = new WorkerCounters();
  #table: SharedArrayBuffer;
  #stopping = false;
  #retry: NodeJS.Timeout | undefined;

  /** Starts one thread a queue. None takes packets before `bind`. */
  constructor(options: QueueWorkersOptions, table: SharedArrayBuffer) {
    this.#options = options;
    this.#table = table;
    this.#workers = Array.from({ length: options.count }, (_, index) => this.#startWorker(index));
  }

  /**
   * Takes packets from now on; resolves when all queues are bound, with the largest number that `beforeBind` gave. Throws what the first thread that
   * failed threw, a NetlinkError for a queue that cannot be bound; then `stop` is all that is left to do.
   */
  async bind(): Promise<number> {
    const numbers = await Promise.all(this.#workers.map((worker) => this.#bind(worker)));
    for (const [index, worker] of this.#workers.entries()) this.#replaceWhenEnded(index, worker);
    return Math.max(0, ...numbers);
  }

  /** Every worker carries the command out; resolves when all have, and all verdicts given before are in force. */
  async command(command: Command): Promise<void> {
    if (command.type === 'table') this.#table = command.table;
    await Promise.all(this.#workers.map((worker) => worker.command(command)));
  }

  /** Threads that run. */
  get alive(): number {
    return this.#workers.filter(({ failure }) => failure === undefined).length;
  }

  /** What all workers counted, those that were replaced too. */
  counters(): WorkerCounters {
    const sum = new WorkerCounters();
    sum.add(this.#ended);
    for (const { counters } of this.#workers) sum.add(counters);
    return sum;
  }

  /**
   * Gives the flows that were opened or denied since, each worker's for an equal part of `milliseconds`; nothing without `flowEvents`. What is left comes
   * with the next call, or is passed over. Gives back how many events were lost since the last call.
   */
  drainFlowEvents(
    take: (event: FlowEvent) => void,
    { milliseconds, rest }: { readonly milliseconds: number; readonly rest: 'keep' | 'skip' },
  ): number {
    let lost = 0;
    for (const { events } of this.#workers) {
      const end = performance.now() + milliseconds / this.#workers.length;
      events?.drain(take, () => performance.now() < end);
      if (rest === 'skip') events?.skip();
      lost += events?.takeLost() ?? 0;
    }
    return lost;
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
    this.#stopping = true;
    clearTimeout(this.#retry);
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  #startWorker(index: number): QueueWorker {
    const { inNamespace = (start) => start(), firstQueue } = this.#options;
    return inNamespace(() => new QueueWorker(this.#options, firstQueue + index, this.#table));
  }

  #replaceWhenEnded(index: number, worker: QueueWorker): void {
    void worker.ended.then((error) => {
      if (this.#stopping) return;
      this.#options.onFailure(this.#options.firstQueue + index, error);
      this.#ended.add(worker.counters, true);
      this.#replace(index);
    });
  }

  #replace(index: number): void {
    const worker = this.#startWorker(index);
    this.#workers[index] = worker;
    this.#bind(worker).then(
      () => {
        this.#replaceWhenEnded(index, worker);
        if (!this.#stopping) this.#options.onReplaced(this.#options.firstQueue + index);
      },
      async (error: Error) => {
        await worker.stop();
        if (this.#stopping) return;
        this.#options.onFailure(this.#options.firstQueue + index, error);
        this.#retry = setTimeout(() => this.#replace(index), RETRY);
      },
    );
  }

  async #bind(worker: QueueWorker): Promise<number> {
    const number = await this.#options.beforeBind?.((command) => worker.command(command));
    await worker.command({ type: 'bind' });
    if (worker.failure !== undefined) throw worker.failure;
    return number ?? 0;
  }
}

class QueueWorker {
  readonly counters: WorkerCounters;
  readonly events: FlowEvents | undefined;
  /** Why the thread has ended, if it has. */
  failure: Error | undefined;
  /** Resolves when the thread has ended, with the reason. */
  readonly ended: Promise<Error>;
  readonly #wake = eventfd();
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly #worker: Worker;
  readonly #pending = new Map<number, () => void>();

  constructor(options: QueueWorkersOptions, queue: number, table: SharedArrayBuffer) {
    const { failOpen, judgedBit, rejectBit, offload, flowCapacity } = options;
    const counters = WorkerCounters.shared();
    const control = this.#control.buffer as SharedArrayBuffer;
    const events = options.flowEvents ? FlowEvents.shared() : undefined;
    this.events = events && new FlowEvents(events);
    this.counters = new WorkerCounters(counters);
    const marks = { judgedBit, rejectBit, offload };
    const setup: WorkerSetup = {
      queue,
      wake: this.#wake,
      failOpen,
      ...marks,
      flowCapacity,
      table,
      counters,
      events,
      control,
    };
    this.#worker = new Worker(new URL(`./worker${extname(import.meta.filename)}`, import.meta.url), {
      workerData: setup,
      name: `podfence-queue-${queue}`,
    });
    const ended = Promise.withResolvers<Error>();
    this.ended = ended.promise;
    let thrown: Error | undefined;
    this.#worker.on('message', ({ done }: WorkerReport) => {
      this.#pending.get(done)?.();
      this.#pending.delete(done);
    });
    this.#worker.on('error', (error) => {
      thrown = error instanceof Error ? error : new Error(String(error));
    });
    this.#worker.on('exit', (code) => {
      close(this.#wake);
      const queueSocket = Atomics.load(this.#control, CONTROL_SOCKET);
      if (queueSocket > 0) close(queueSocket);
      const error = thrown ?? new Error(`the worker of queue ${queue} ended with ${code}`);
      this.failure = error;
      for (const done of this.#pending.values()) done();
      this.#pending.clear();
      ended.resolve(error);
    });
  }

  /** Resolves when the worker has carried it out, or has ended. */
  command(command: Command): Promise<void> {
    if (this.failure !== undefined) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    // The message is in the port before the count says so: a worker that sees the count finds it.
    const number = Atomics.load(this.#control, CONTROL_SENT) + 1;
    this.#pending.set(number, resolve);
    this.#worker.postMessage({ number, command });
    Atomics.store(this.#control, CONTROL_SENT, number);
    Atomics.notify(this.#control, CONTROL_SENT);
    signalEventfd(this.#wake);
    return promise;
  }

  async stop(): Promise<void> {
    void this.command({ type: 'stop' });
    await this.ended;
  }
}
