/**
 * Adds up what the kernel counts by interface. Its entries end an hour after the last packet, and
 * begin at 0 when other software has removed them; sums here only grow.
 */

/** Names of pods' interfaces are random: a node that lives long has seen many. */
const MOST = 256;
/** Interfaces beyond MOST, and packets that the kernel's full set did not count. */
const OTHERS = 'other';

/** What the kernel has counted. */
export interface KernelCounts {
  readonly counts: ReadonlyMap<string, number>;
  /** In all. */
  readonly dropped: number;
}

export class InterfaceCounts {
  readonly #sums = new Map<string, number>();
  #last: KernelCounts = { counts: new Map(), dropped: 0 };

  get byInterface(): ReadonlyMap<string, number> {
    return this.#sums;
  }

  /** Takes the kernel's counts for those of before. */
  begin(kernel: KernelCounts): void {
    this.#last = kernel;
  }

  /** @param kernel undefined if its counts are gone */
  take(kernel: KernelCounts = { counts: new Map(), dropped: 0 }): void {
    const last = this.#last;
    this.#last = kernel;
    let named = 0;
    for (const [name, count] of kernel.counts) {
      const more = grown(last.counts.get(name), count);
      named += more;
      this.#add(name, more);
    }
    this.#add(OTHERS, grown(last.dropped, kernel.dropped) - named);
  }

  #add(name: string, more: number): void {
    if (more <= 0) return;
    const known = this.#sums.has(name) || this.#sums.size < MOST ? name : OTHERS;
    this.#sums.set(known, (this.#sums.get(known) ?? 0) + more);
  }
}

/** By how much a count grew; one that became less has begun again. */
function grown(before = 0, now: number): number {
  return now >= before ? now - before : now;
}
