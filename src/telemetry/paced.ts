/** A bound on how often something expensive is done, however often it is asked for. */

/**
 * Gives back a function that runs `produce` at most once in `interval` ms, one run at a time. Who asks meanwhile waits for the next run
 * and shares it with all that wait: an answer is never older than its question. Without other callers nobody waits.
 */
export function paced<T>(produce: () => Promise<T>, interval: number): () => Promise<T> {
  let next: Promise<T> | undefined;
  let ready: Promise<unknown> = Promise.resolve();
  return () => {
    next ??= ready.then(() => {
      next = undefined;
      const run = produce();
      const rest = new Promise((resolve) => setTimeout(resolve, interval).unref());
      ready = Promise.allSettled([run, rest]);
      return run;
    });
    return next;
  };
}
