/** How long to wait before the next attempt: longer with each failure, and never the same for two agents. */

/** First and longest wait in ms. (client-go's reflector: 0.8 s to 30 s.) */
const FIRST = 250;
const LONGEST = 30_000;

export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  /** @param random numbers from 0 to below 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Failures since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  /**
   * Milliseconds to wait after a further failure: half to one and a half of a time that doubles from 250 ms to 30 s, and not less than
   * what the server asked for, with up to a fifth more, so that all who were asked do not come back together.
   */
  next(retryAfter = 0): number {
    const step = Math.min(FIRST * 2 ** this.#failures, LONGEST);
    this.#failures++;
    return Math.round(Math.max(step * (0.5 + this.#random()), retryAfter * (1 + this.#random() / 5)));
  }

  reset(): void {
    this.#failures = 0;
  }
}
