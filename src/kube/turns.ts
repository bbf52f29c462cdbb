/** Splits long work into short turns, so that other events wait for one turn at most. */
import { setImmediate } from 'node:timers/promises';

/** Milliseconds of one turn. Several turns may follow each other, plus garbage collection. */
const TURN = 5;

export class Turns {
  #began = performance.now();

  /** Call it between two steps: once the turn is over, it lets the event loop do its other work. */
  async step(): Promise<void> {
    if (performance.now() - this.#began < TURN) return;
    await setImmediate();
    this.#began = performance.now();
  }
}
