/**
 * Runs work that must not overlap: one piece at a time, in the order of the calls, until the
 * sequence ends. An agent has one sequence for everything that changes the kernel's state: start,
 * change, repair, replacement of a thread, catching up, stop.
 */

/** The sequence has ended: waiting work never begins, and running work is no longer wanted. */
export class SequenceEnded extends Error {
  override readonly name = 'SequenceEnded';

  constructor() {
    super('the agent was stopped');
  }
}

export class Sequence {
  readonly #ending = new AbortController();
  readonly #timers = new Set<NodeJS.Timeout>();
  #last: Promise<unknown> = Promise.resolve();
  #ended: Promise<void> | undefined;

  /**
   * Runs `work` after everything that was asked for before. Work that can stop half-way watches its
   * signal. Rejects with SequenceEnded if the sequence ends first, otherwise with what `work`
   * throws.
   */
  run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = this.#ending;
    const turn = this.#last.then(() => {
      signal.throwIfAborted();
      return work(signal);
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Runs `work` in turn, `milliseconds` from now; never, if the sequence ends first. `work` must
   * not throw.
   */
  after(milliseconds: number, work: (signal: AbortSignal) => Promise<void>): void {
    if (this.#ending.signal.aborted) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.run(work).catch(unlessEnded);
    }, milliseconds);
    this.#timers.add(timer);
  }

  /**
   * Ends the sequence: after the work under way only `last` runs. Resolves when `last` is done; the
   * first call decides what `last` is.
   */
  end(last: () => Promise<void>): Promise<void> {
    this.#ending.abort(new SequenceEnded());
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#ended ??= this.#last.then(last);
    return this.#ended;
  }
}

/**
 * Returns the result of `work`. If the signal is aborted first, rejects with the signal's reason
 * and ignores what comes of `work`.
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    work.catch(() => undefined);
  }
}

/** For work without a caller: ignores SequenceEnded, rethrows every other error. */
export function unlessEnded(error: unknown): void {
  if (!(error instanceof SequenceEnded)) throw error;
}
