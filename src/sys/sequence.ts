/**
 * Work that must not overlap: one piece at a time, in the order in which it was asked for, until the end. An agent has one, for all that changes the kernel's
 * state: start, change, repair, replacement of a thread, catching up, stop.
 */

/** The sequence has ended: work that had not begun never will, and work under way is not wanted any more. */
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
   * Carries out `work` when all that was asked for before is done. Work that can leave off half-way looks at its signal. Rejects with SequenceEnded where the end
   * comes first, else with what `work` throws.
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

  /** Carries out `work` in turn, in `milliseconds`; never where the end comes first. `work` throws nothing. */
  after(milliseconds: number, work: (signal: AbortSignal) => Promise<void>): void {
    if (this.#ending.signal.aborted) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.run(work).catch(unlessEnded);
    }, milliseconds);
    this.#timers.add(timer);
  }

  /** Nothing begins from now on but `last`, once what is under way is done. Resolves with it; the first call decides what is last. */
  end(last: () => Promise<void>): Promise<void> {
    this.#ending.abort(new SequenceEnded());
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#ended ??= this.#last.then(last);
    return this.#ended;
  }
}

/** What `work` gives; where the signal is aborted first it rejects with the signal's reason, and whatever comes of the work is of no interest any more. */
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

/** For work that has nobody to tell: the end is no error. */
export function unlessEnded(error: unknown): void {
  if (!(error instanceof SequenceEnded)) throw error;
}
