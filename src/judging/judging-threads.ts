/** Threads that judge packets by one table, as the main thread sees them: start, publish, seed, count, replace, stop. */

import { type FlowEvent, FlowEvents } from '../flows/flow-events.ts';
import type { CommandedThread } from '../sys/commanded-thread.ts';
import { type Sequence, unlessEnded } from '../sys/sequence.ts';
import { WorkerCounters } from './counters.ts';
import type { Command, JudgingSetup } from './protocol.ts';

export interface JudgingThreadsOptions extends Pick<JudgingSetup, 'flowCapacity' | 'offload'> {
  /** Number of the first thread; the others follow. */
  readonly first: number;
  readonly count: number;
  /** Whether they tell of flows; see `drainFlowEvents`. @default false */
  readonly flowEvents?: boolean;
  /**
   * Called for every new thread before it takes packets, with a way to command it alone: for what it must know before its first packet. Gives back a number that
   * `bind` hands on.
   */
  readonly beforeBind?: (command: (command: Command) => Promise<void>) => Promise<number>;
  /** What is told to all threads and a replacement take turns in it: a thread that joins between two steps of a change would know half of it. */
  readonly sequence: Sequence;
  /** A thread has ended without being told to. Until it is replaced nobody takes its packets. */
  readonly onFailure: (number: number, error: Error) => void;
  /** A thread has taken the place of one that had ended: it judges by the table in force, and knows no flow. */
  readonly onReplaced: (number: number) => void;
}

/** Starts the thread of a number with `setup` in its workerData. */
export type StartThread = (number: number, setup: JudgingSetup) => CommandedThread<Command>;

/** Between two attempts to replace a thread that cannot start, in ms. */
const RETRY = 1000;

export class JudgingThreads {
  readonly #options: JudgingThreadsOptions;
  readonly #startThread: StartThread;
  readonly #threads: JudgingThread[];
  /** What threads counted that have ended. */
  readonly #ended = new WorkerCounters();
  #table: SharedArrayBuffer;
  #stopping = false;

  /** Starts them. None takes packets before `bind`. */
  constructor(options: JudgingThreadsOptions, table: SharedArrayBuffer, startThread: StartThread) {
    this.#options = options;
    this.#table = table;
    this.#startThread = startThread;
    this.#threads = Array.from({ length: options.count }, (_, index) => this.#start(index));
  }

  /**
   * Takes packets from now on; resolves when all threads do, with the largest number that `beforeBind` gave. Throws what the first thread that
   * failed threw, a NetlinkError for a queue that cannot be bound; then `stop` is all that is left to do.
   */
  async bind(): Promise<number> {
    const numbers = await Promise.all(this.#threads.map((thread) => this.#bind(thread)));
    for (const [index, thread] of this.#threads.entries()) this.#replaceWhenEnded(index, thread);
    return Math.max(0, ...numbers);
  }

  /** Every thread carries the command out; resolves when all have, and all verdicts given before are in force. */
  async command(command: Command): Promise<void> {
    if (command.type === 'table') this.#table = command.table;
    await Promise.all(this.#threads.map(({ thread }) => thread.command(command)));
  }

  /** Threads that run. */
  get alive(): number {
    return this.#threads.filter(({ thread }) => thread.failure === undefined).length;
  }

  /** What all threads counted, those that were replaced too. */
  counters(): WorkerCounters {
    const sum = new WorkerCounters();
    sum.add(this.#ended);
    for (const { counters } of this.#threads) sum.add(counters);
    return sum;
  }

  /**
   * Gives the flows that were opened or denied since, each thread's for an equal part of `milliseconds`; nothing without `flowEvents`. What is left comes
   * with the next call, or is passed over. Gives back how many events were lost since the last call.
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

  /** Ends all threads; nobody takes their packets from then on. */
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
