/** The main thread's handle to the thread that judges captured frames. */
import { extname } from 'node:path';
import { type FlowEvent, FlowEvents } from '../flows/flow-events.ts';
import { FrameCounters } from '../judging/frame-counters.ts';
import { CommandedThread } from '../sys/commanded-thread.ts';
import type { JudgeCommand, JudgeSetup } from './frame-messages.ts';

export type FrameThreadOptions = Omit<JudgeSetup, 'events' | 'counters'> & {
  /** Calls `start` in the interfaces' network namespace. @default the calling thread's */
  readonly inNamespace?: <T>(start: () => T) => T;
};

export class FrameThread {
  readonly counters: FrameCounters;
  readonly #events: FlowEvents;
  readonly #thread: CommandedThread<JudgeCommand>;
  /** Resolves when the thread judges, or has ended. */
  readonly ready: Promise<void>;
  /** Resolves when the thread has ended: with the error, or with undefined after `stop`. */
  readonly ended: Promise<Error | undefined>;
  #stopping = false;

  constructor({ inNamespace = (start) => start(), ...options }: FrameThreadOptions) {
    const counters = FrameCounters.shared();
    const events = FlowEvents.shared();
    this.counters = new FrameCounters(counters);
    this.#events = new FlowEvents(events);
    const setup: JudgeSetup = { ...options, events, counters };
    const program = new URL(`./frame-worker${extname(import.meta.filename)}`, import.meta.url);
    this.#thread = inNamespace(() => new CommandedThread<JudgeCommand>(program, 'podfence-frames', setup));
    this.ready = this.command({ type: 'begin' });
    this.ended = this.#thread.ended.then(() => this.failure);
  }

  /** Why the thread ended without `stop`; undefined otherwise. */
  get failure(): Error | undefined {
    return this.#stopping ? undefined : this.#thread.failure;
  }

  /**
   * Resolves when the thread has carried the command out or has ended. From then on nothing is
   * judged by the state before it.
   */
  command(command: JudgeCommand): Promise<void> {
    return this.#thread.command(command);
  }

  /**
   * Calls `take` for each flow opened or denied since the previous drain. Returns how many events
   * were lost because the drains came too rarely.
   */
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
