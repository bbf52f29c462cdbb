/**
 * Decides when a worker with an empty queue looks again and when it sleeps. Waking a thread costs
 * more than judging a packet (40 to 60 us on a virtual machine), and the packet waits for it. So
 * while packets follow closely, the worker keeps looking for a spell and yields the processor
 * between looks; otherwise it sleeps at once. The kernel does the same for virtual processors
 * (Documentation/virt/kvm/halt-polling.rst): each short sleep lengthens the spell, one long sleep
 * ends it. A spell is a number of looks, not a time, so that a worker that gets little processor
 * time does not give up sooner.
 */

/**
 * A look costs about 0.7 us, so a worker spends at most 0.1 ms of processor time before it sleeps.
 */
const MAX_LOOKS = 128;
const FIRST_LOOKS = 16;
/** A sleep shorter than this, in ms, was not worth it. */
const SHORT_SLEEP = 0.1;

export class BusyPolling {
  #looks = 0;
  #left = 0;

  /** Packets came: the next time the queue is empty, the worker may look as often as allowed. */
  found(): void {
    this.#left = this.#looks;
  }

  /** Whether the worker should look at the empty queue again instead of sleeping. */
  looksAgain(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }

  /** The worker slept this long, until something came or its sleep timed out. */
  slept(milliseconds: number): void {
    this.#looks = milliseconds < SHORT_SLEEP ? Math.min(MAX_LOOKS, Math.max(FIRST_LOOKS, 2 * this.#looks)) : 0;
  }
}
