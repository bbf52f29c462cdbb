/** Long work in short turns, so that whatever else the event loop has to do waits for one turn at most. */
import { setImmediate } from 'node:timers/promises';

/** Milliseconds of one turn. Several parts may take turns one after the other, and the garbage collector comes on top. */
const TURN = 5;

export class Turns {
  #began = performance.now();

  /** Call it between two steps: once the turn is over, everybody else comes first. */
  async step(): Promise<void> {
    if (performance.now() - this.#began < TURN) return;
    await setImmediate();
    this.#began = performance.now();
  }
}
