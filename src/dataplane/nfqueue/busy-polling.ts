/**
 * When a worker that has emptied its queue looks again, and when it sleeps. To be woken costs more than to judge, on a virtual machine 40 to 60 us, and the
 * packet waits for it. So while packets follow one another closely the worker looks for the next one a while, and lets others run between two looks; where they do not,
 * it sleeps at once. As the kernel does it for virtual processors (Documentation/virt/kvm/halt-polling.rst): the while grows with each sleep that was
 * short, and ends with one that was long. Counted in looks, not by a clock, so that a worker that others keep from running gives up no sooner.
 */

/** A look costs about 0.7 us: 0.1 ms of processor time at most before it sleeps. */
const MAX_LOOKS = 128;
const FIRST_LOOKS = 16;
/** A shorter sleep, in ms, was not worth it. */
const SHORT_SLEEP = 0.1;

export class BusyPolling {
  #looks = 0;
  #left = 0;

  /** Packets have come: the next time that the queue is empty it looks for as long as it may. */
  found(): void {
    this.#left = this.#looks;
  }

  /** The queue is empty. Is it to look once more, rather than sleep? */
  looksAgain(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }

  /** It slept so many ms until something came, or nothing did. */
  slept(milliseconds: number): void {
    this.#looks = milliseconds < SHORT_SLEEP ? Math.min(MAX_LOOKS, Math.max(FIRST_LOOKS, 2 * this.#looks)) : 0;
  }
}
