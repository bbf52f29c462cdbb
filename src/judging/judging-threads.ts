/**
 * The main thread's handle to threads that judge packets by one table: start, publish, seed, count,
 * stop, and replace one that died.
 */

import { type FlowEvent, FlowEvents } from '../flows/flow-events.ts';
import type { CommandedThread } from '../sys/commanded-thread.ts';
import { type Sequence, unlessEnded } from '../sys/sequence.ts';
import { WorkerCounters } from './counters.ts';
import type { Command, JudgingSetup } from './protocol.ts';

export interface JudgingThreadsOptions extends Pick<JudgingSetup, 'flowCapacity' | 'offload'> {
  /** Number of the first thread; the others follow. */
  readonly first: number;
  readonly count: number;
  /** Whether the threads report flows; see `drainFlowEvents`. @default false */
  readonly flowEvents?: boolean;
  /**
   * Called for every new thread before it takes packets, to send that thread alone what it must
   * know before its first packet. `bind` resolves with the largest number that this returned.
   */
  readonly beforeBind?: (command: (command: Command) => Promise<void>) => Promise<number>;
  /**
   * Commands to all threads and replacements take turns in this sequence: a thread that joined
   * between two steps of a change would know half of it.
   */
  readonly sequence: Sequence;
  /**
   * A thread ended without `stop`, or its replacement could not start. Nothing takes its packets
   * until a replacement runs.
   */
  readonly onFailure: (number: number, error: Error) => void;
  /**
   * A thread has taken the place of one that ended. It judges by the table in force and knows only
   * the flows that `beforeBind` seeded.
   */
  readonly onReplaced: (number: number) => void;
}

/** Starts thread `number` with `setup` in its workerData. */
export type StartThread = (number: number, setup: JudgingSetup) => CommandedThread<Command>;

/** How long to wait before another attempt to replace a thread that cannot start, in ms. */
const RETRY = 1000;

export class JudgingThreads {
  readonly #options: JudgingThreadsOptions;
  readonly #startThread: StartThread;
  readonly #threads: JudgingThread[];
  /** The counters of threads that have ended, added up. */
  readonly #ended = new WorkerCounters();
  #table: SharedArrayBuffer;
  #stopping = false;

  /** Starts the threads. None takes packets before `bind`. */
  constructor(options: JudgingThreadsOptions, table: SharedArrayBuffer, startThread: StartThread) {
    this.#options = options;
    this.#table = table;
    this.#startThread = startThread;
    this.#threads = Array.from({ length: options.count }, (_, index) => this.#start(index));
  }

  /**
   * Makes the threads take packets. Resolves when all do, with the largest number that `beforeBind`
   * returned. Throws the error of the first thread that failed (NetlinkError for a queue that
   * cannot be bound); after that only `stop` may be called.
   */
  async bind(): Promise<number> {
    const numbers = await Promise.all(this.#threads.map((thread) => this.#bind(thread)));
    for (const [index, thread] of this.#threads.entries()) this.#replaceWhenEnded(index, thread);
    return Math.max(0, ...numbers);
  }

  /**
   * Sends a command to every thread. Resolves when all have carried it out and all verdicts given
   * before it are in force.
   */
  async command(command: Command): Promise<void> {
    if (command.type === 'table') this.#table = command.table;
    await Promise.all(this.#threads.map(({ thread }) => thread.command(command)));
  }

  /** How many threads run. */
  get alive(): number {
    return this.#threads.filter(({ thread }) => thread.failure === undefined).length;
  }

  /** Returns the sum of all threads' counters, replaced threads included. */
  counters(): WorkerCounters {
    const sum = new WorkerCounters();
    sum.add(this.#ended);
    for (const { counters } of this.#threads) sum.add(counters);
    return sum;
  }

  /**
   * Calls `take` for the flows opened or denied since the previous drain, each thread's for an
   * equal part of `milliseconds`; for none without `flowEvents`. `rest` says whether the remaining
   * events are kept for the next drain or skipped. Returns how many events were lost since the
   * previous drain.
   */
  drainFlowEvents(
    take: (event: FlowEvent) => void,
    { milliseconds, rest }: { readonly milliseconds: number; readonly rest: 'keep' | 'skip' },
  ): number {
    let lost = 0;
    for (const { events } of this.#threads) {
      const end = performance.now() + milliseconds / this.#threads.length;
      events?.drain(take, () => performance.now() < end);
      if (rest === 'skip') events?.skip();
      lost += events?.takeLost() ?? 0;
    }
    return lost;
  }

  /** Ends all threads. Nothing takes their packets from then on. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#threads.map(stop));
  }

  #start(index: number): JudgingThread {
    const counters = WorkerCounters.shared();
    const { flowEvents, flowCapacity, offload } = this.#options;
    const events = flowEvents ? FlowEvents.shared() : undefined;
    const setup: JudgingSetup = { flowCapacity, offload, table: this.#table, counters, events };
    return {
      thread: this.#startThread(this.#options.first + index, setup),
      counters: new WorkerCounters(counters),
      events: events && new FlowEvents(events),
    };
  }

  #replaceWhenEnded(index: number, { thread, counters }: JudgingThread): void {
    void thread.ended.then((error) => {
      if (this.#stopping) return;
      this.#options.onFailure(this.#options.first + index, error);
      this.#ended.add(counters, true);
      this.#options.sequence.run(() => this.#replace(index)).catch(unlessEnded);
    });
  }

  async #replace(index: number): Promise<void> {
    const { first, sequence, onFailure, onReplaced } = this.#options;
    let thread: JudgingThread | undefined;
    try {
      thread = this.#start(index);
      this.#threads[index] = thread;
      await this.#bind(thread);
    } catch (error) {
      if (thread !== undefined) await stop(thread);
      onFailure(first + index, error as Error);
      sequence.after(RETRY, () => this.#replace(index));
      return;
    }
    this.#replaceWhenEnded(index, thread);
    onReplaced(first + index);
  }

  async #bind({ thread }: JudgingThread): Promise<number> {
    const number = await this.#options.beforeBind?.((command) => thread.command(command));
    await thread.command({ type: 'bind' });
    if (thread.failure !== undefined) throw thread.failure;
    return number ?? 0;
  }
}

interface JudgingThread {
  readonly thread: CommandedThread<Command>;
  readonly counters: WorkerCounters;
  readonly events: FlowEvents | undefined;
}

async function stop({ thread }: JudgingThread): Promise<void> {
  void thread.command({ type: 'stop' });
  await thread.ended;
}
