/**
 * The lists of a flow table: doubly linked rings through the slots, each ordered by when its flows were last moved to the end. All flows
 * of a list have the same timeout, so that its first one is the next to expire, and the one used least recently.
 */
import { LISTS, MOVED, NEXT, NO_SLOT, PREVIOUS, SLOT_SHIFT, type Slot } from './slots.ts';

export class FlowLists {
  /** Flows by list. */
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

  /** Puts a slot that is in no list at the end of one. */
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

  /** Takes a slot out of the list that it is in. */
  unlink(list: number, slot: Slot): void {
    const words = this.#words;
    const at = slot << SLOT_SHIFT;
    const previous = words[at + PREVIOUS] as number;
    const next = words[at + NEXT] as number;
    words[(previous << SLOT_SHIFT) + NEXT] = next;
    words[(next << SLOT_SHIFT) + PREVIOUS] = previous;
    this.sizes[list] = (this.sizes[list] as number) - 1;
  }

  /** The slot that was moved longest ago, or NO_SLOT. */
  first(list: number): Slot {
    const ring = this.#firstRing + list;
    const first = this.#words[(ring << SLOT_SHIFT) + NEXT] as Slot;
    return first === ring ? NO_SLOT : first;
  }
}
