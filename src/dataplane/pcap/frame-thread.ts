/** The thread that judges captured frames, as the main thread sees it. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { close, eventfd, signalEventfd } from '../../sys/libc.ts';
import { type FlowEvent, FlowEvents } from '../nfqueue/flow-events.ts';
import { JudgeCounters } from './judge-counters.ts';
import { type JudgeCommand, type JudgeReport, type JudgeSetup, READY } from './judge-messages.ts';

export type FrameThreadOptions = Omit<JudgeSetup, 'events' | 'counters' | 'control' | 'wake'> & {
  /** Calls `start` in the network namespace of the interfaces. @default that of the calling thread */
  readonly inNamespace?: <T>(start: () => T) => T;
};

export class FrameThread {
  readonly counters: JudgeCounters;
  readonly #events: FlowEvents;
  readonly #wake = eventfd();
  readonly #control = new SharedArrayBuffer(4);
  readonly #worker: Worker;
  readonly #pending = new Map<number, () => void>();
  /** Resolves when the thread judges, or has ended. */
  readonly ready: Promise<void>;
  /** Resolves when the thread has ended, with why, unless it was told to. */
  readonly ended: Promise<Error | undefined>;
  #stopping = false;
  #hasEnded = false;
  /** Why it has ended, where it was not told to. */
  failure: Error | undefined;

  constructor({ inNamespace = (start) => start(), ...options }: FrameThreadOptions) {
    const counters = JudgeCounters.shared();
    const events = FlowEvents.shared();
    this.counters = new JudgeCounters(counters);
    this.#events = new FlowEvents(events);
    const setup: JudgeSetup = { ...options, events, counters, control: this.#control, wake: this.#wake };
    this.#worker = inNamespace(
      () =>
        new Worker(new URL(`./worker${extname(import.meta.filename)}`, import.meta.url), {
          workerData: setup,
          name: 'podfence-frames',
        }),
    );
    this.ready = new Promise((resolve) => this.#pending.set(READY, resolve));
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.ended = promise;
    let thrown: Error | undefined;
    this.#worker.on('message', ({ done }: JudgeReport) => {
      this.#pending.get(done)?.();
      this.#pending.delete(done);
    });
    this.#worker.on('error', (error) => {
      thrown = error instanceof Error ? error : new Error(String(error));
    });
    this.#worker.on('exit', () => {
      close(this.#wake);
      this.#hasEnded = true;
      if (!this.#stopping) this.failure = thrown ?? new Error('the thread that judges has ended');
      for (const done of this.#pending.values()) done();
      resolve(this.failure);
    });
  }

  /** Resolves when the thread has carried it out, or has ended: from then on nothing is judged by what was before. */
  command(command: JudgeCommand): Promise<void> {
    if (this.#hasEnded) return Promise.resolve();
    const words = new Int32Array(this.#control);
    const number = Atomics.load(words, 0) + 1;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pending.set(number, resolve);
    // The message is in the port before the count says so.
    this.#worker.postMessage({ number, command });
    Atomics.store(words, 0, number);
    signalEventfd(this.#wake);
    return promise;
  }

  /** Gives the flows that were opened or denied since; gives back how many were lost, because they came faster than this was called. */
  drain(take: (event: FlowEvent) => void): number {
    this.#events.drain(take);
    return this.#events.takeLost();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    void this.command({ type: 'stop' });
    await this.ended;
  }
}
