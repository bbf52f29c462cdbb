/** The thread that judges captured frames, as the main thread sees it. */
import { extname } from 'node:path';
import { type FlowEvent, FlowEvents } from '../flows/flow-events.ts';
import { FrameCounters } from '../judging/frame-counters.ts';
import { CommandedThread } from '../sys/commanded-thread.ts';
import type { JudgeCommand, JudgeSetup } from './frame-messages.ts';

export type FrameThreadOptions = Omit<JudgeSetup, 'events' | 'counters'> & {
  /** Calls `start` in the network namespace of the interfaces. @default that of the calling thread */
  readonly inNamespace?: <T>(start: () => T) => T;
};

export class FrameThread {
  readonly counters: FrameCounters;
  readonly #events: FlowEvents;
  readonly #thread: CommandedThread<JudgeCommand>;
  /** Resolves when the thread judges, or has ended. */
  readonly ready: Promise<void>;
  /** Resolves when the thread has ended, with why, unless it was told to. */
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

  /** Why it has ended, where it was not told to. */
  get failure(): Error | undefined {
    return this.#stopping ? undefined : this.#thread.failure;
  }

  /** Resolves when the thread has carried it out, or has ended: from then on nothing is judged by what was before. */
  command(command: JudgeCommand): Promise<void> {
    return this.#thread.command(command);
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
