/** Bounds how often something expensive runs, however often it is requested. */

/**
 * Returns a function that runs `produce` at most once per `interval` ms, one run at a time. Calls
 * meanwhile wait for the next run and share its result, so an answer is never older than its
 * question. A call without others before it does not wait.
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
