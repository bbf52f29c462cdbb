/** The clock that kube/ reads and sets timers with, so that tests can turn it themselves. */

export interface Clock {
  /** Milliseconds since an arbitrary start; monotonic. */
  now(): number;
  /** Calls back once after that many milliseconds. Returns a function that cancels the call. */
  after(milliseconds: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Resolves after that many milliseconds, or as soon as `signal` is aborted. */
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
