/**
 * The lists of a flow table: doubly linked rings through the slots, ordered by when each flow was
 * last moved to the end. All flows of a list have the same timeout, so the first one was used least
 * recently and expires next.
 */
import { LISTS, MOVED, NEXT, NO_SLOT, PREVIOUS, SLOT_SHIFT, type Slot } from './slots.ts';

export class FlowLists {
  /** Number of flows, by list. */
  readonly sizes = new Int32Array(LISTS);
  readonly #words: Int32Array;
  readonly #firstRing: number;

  /** `firstRing` is the slot of list 0; see slots.ts. */
  constructor(words: Int32Array, firstRing: number) {
    this.#words = words;
    this.#firstRing = firstRing;
    for (let list = 0; list < LISTS; list++) {
      const ring = firstRing + list;
      words[(ring << SLOT_SHIFT) + NEXT] = ring;
      words[(ring << SLOT_SHIFT) + PREVIOUS] = ring;
    }
  }

  /** Puts a slot that is in no list at the end of `list`. */
  append(list: number, slot: Slot, now: number): void {
    const words = this.#words;
    const ring = this.#firstRing + list;
    const ringPrevious = (ring << SLOT_SHIFT) + PREVIOUS;
    const last = words[ringPrevious] as number;
    const at = slot << SLOT_SHIFT;
    words[at + PREVIOUS] = last;
    words[at + NEXT] = ring;
    words[at + MOVED] = now;
    words[(last << SLOT_SHIFT) + NEXT] = slot;
    words[ringPrevious] = slot;
    this.sizes[list] = (this.sizes[list] as number) + 1;
  }

  /** Removes a slot from its list. */
  unlink(list: number, slot: Slot): void {
    const words = this.#words;
    const at = slot << SLOT_SHIFT;
    const previous = words[at + PREVIOUS] as number;
    const next = words[at + NEXT] as number;
    words[(previous << SLOT_SHIFT) + NEXT] = next;
    words[(next << SLOT_SHIFT) + PREVIOUS] = previous;
    this.sizes[list] = (this.sizes[list] as number) - 1;
  }

  /** Returns the slot that was moved longest ago, or NO_SLOT. */
  first(list: number): Slot {
    const ring = this.#firstRing + list;
    const first = this.#words[(ring << SLOT_SHIFT) + NEXT] as Slot;
    return first === ring ? NO_SLOT : first;
  }
}
