/** Time, as the parts of this room take it, so that tests can turn the clock themselves. */

export interface Clock {
  /** Milliseconds from any beginning; it never goes back. */
  now(): number;
  /** Calls back once after so many milliseconds. The function given back takes that away again. */
  after(milliseconds: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Resolves after so many milliseconds, or at once when `signal` is aborted. */
export function wait(clock: Clock, milliseconds: number, signal: AbortSignal): Promise<void> {
  if (milliseconds <= 0 || signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(milliseconds, end);
  signal.addEventListener('abort', end);
  function end(): void {
    cancel();
    signal.removeEventListener('abort', end);
    resolve();
  }
  return promise;
}
