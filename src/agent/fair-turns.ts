/** Splits long work into turns and lets the event loop run in between. */
import { setImmediate } from 'node:timers/promises';

/** Shortest and longest turn, in ms: the shortest applies if the thread has little else to do. */
const SHORTEST = 0.5;
const LONGEST = 3;

/**
 * Turns are short so that other work does not wait. If other work takes long between two turns,
 * such as reading the list of a large cluster, the next turn is half as long as that. So the work
 * keeps a third of the thread and finishes within three times the time that it takes alone.
 */
export class FairTurns {
  /** Time that the earlier turns took, in ms. */
  worked = 0;
  readonly #now: () => number;
  #began: number;
  #length = SHORTEST;

  /**
   * Begins the first turn.
   * @param now a clock, in ms
   */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#began = now();
  }

  /** Time since the turn began, in ms. */
  get elapsed(): number {
    return this.#now() - this.#began;
  }

  /**
   * Whether other work should run now.
   * @param share the part of a turn that may pass first
   */
  isOver(share = 1): boolean {
    return this.elapsed > share * this.#length;
  }

  /** Ends the turn and lets other work run; resolves when the next turn begins. */
  async pause(): Promise<void> {
    const ended = this.#now();
    this.worked += ended - this.#began;
    await setImmediate();
    this.#began = this.#now();
    this.#length = Math.min(Math.max(SHORTEST, (this.#began - ended) / 2), LONGEST);
  }
}
