/** The wait before the next attempt: longer after each failure, and different for every agent. */

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
   * Returns the milliseconds to wait after one more failure. The base time doubles from 250 ms to
   * 30 s and is multiplied by a random factor of 0.5 to 1.5. The wait is never shorter than what
   * the server asked for plus up to a fifth, so that its clients do not all come back together.
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
