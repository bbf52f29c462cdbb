/**
 * A deadline that several waits share: late work uses up the time of the work after it, so that all
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
   * Waits for the work, until `limit` ms after the start of the oldest work that is not done yet.
   * Resolves with undefined if the work was done in time, else with what it rejected with or a
   * LateError.
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
