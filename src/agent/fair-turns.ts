/** Long work in turns, between which the event loop sees to whatever else there is. */
import { setImmediate } from 'node:timers/promises';

/** Length of a turn in ms: where nobody else has much to do, and at most. */
const SHORTEST = 0.5;
const LONGEST = 3;

/**
 * A turn is short, so that nobody waits. But where others take long between two turns, reading a list of a large cluster for instance, the next is
 * half as long as that: the work keeps a third of the thread, and is done within three times the time that it takes.
 */
export class FairTurns {
  /** What the turns before this one took, in ms. */
  worked = 0;
  readonly #now: () => number;
  #began: number;
  #length = SHORTEST;

  /** The first begins. @param now a clock, in ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#began = now();
  }

  /** Since the turn began, in ms. */
  get elapsed(): number {
    return this.#now() - this.#began;
  }

  /** Is it time for others? @param share of a turn after which it is */
  isOver(share = 1): boolean {
    return this.elapsed > share * this.#length;
  }

  /** Lets others go first; resolves when the next turn begins. */
  async pause(): Promise<void> {
    const ended = this.#now();
    this.worked += ended - this.#began;
    await setImmediate();
    this.#began = this.#now();
    this.#length = Math.min(Math.max(SHORTEST, (this.#began - ended) / 2), LONGEST);
  }
}
