/** Carries out asynchronous work in the order in which it was asked for, one piece at a time. */
export class Sequence {
  #last: Promise<unknown> = Promise.resolve();

  /** Gives back what `work` gives back or throws; what failed before does not concern it. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => {});
    return result;
  }
}
