/**
 * A deadline that work which may not be waited for any longer shares with what comes after it: all
 * waits together take no longer than one limit, until the late work is done.
 */
export class SharedDeadline {
  /** When the work began that is not done yet, in ms of performance.now(), the oldest first. */
  readonly #under = new Set<{ readonly since: number }>();

  /** In ms. */
  limit: number;

  /** @param limit in ms */
  constructor(limit: number) {
    this.limit = limit;
  }

  /**
   * Waits for the work, but not beyond the limit after the oldest work began that is not done yet.
   * Resolves with what the work rejected with, or with a LateError; with undefined if it was done
   * in time.
   */
  async wait(work: Promise<unknown>): Promise<unknown> {
    const own = { since: performance.now() };
    this.#under.add(own);
    const [oldest = own] = this.#under;
    const done = work.then(
      () => undefined,
      (error: unknown) => error ?? new Error('it failed'),
    );
    void done.then(() => this.#under.delete(own));
    const late = Promise.withResolvers<LateError>();
    const left = Math.max(0, oldest.since + this.limit - performance.now());
    const timer = setTimeout(() => late.resolve(new LateError(this.limit)), left);
    try {
      return await Promise.race([done, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}

export class LateError extends Error {
  constructor(limit: number) {
    super(`it takes more than ${(limit / 1000).toFixed(1)} s`);
    this.name = 'LateError';
  }
}
