/**
 * The memory of a flow table: one typed array of slots of 16 int32 words, 64 bytes, a cache line.
 *
 *     word  0  hash                       What a lookup reads comes first, in case the array
 *           1  address of A, last word    does not begin on a cache line.
 *           2  address of B, last word
 *           3  port of A << 16 | port of B
 *           4  info, see below
 *           5  generation of the rules that judged the flow last
 *           6  when the flow was moved to the end of its list, coarse clock, ms
 *           7  next slot of the hash chain, or of the stack of free slots; 0 ends it
 *           8  previous slot of the list
 *           9  next slot of the list
 *       10-12  address of A, words 0 to 2 (IPv6)
 *       13-15  address of B, words 0 to 2
 *
 *     info, bits  0-12  kind: protocol, family, ICMP query (flow-key.ts)
 *                13-18  list: state, plus REVOKED_LISTS for a revoked flow
 *                   19  B is the opener
 *                20-31  notes of the caller
 *
 * Slot 0 stands for "none"; its words hold the stack of freed slots and the first slot that was
 * never used. Behind the flows, each list has a slot of its own that closes it to a ring, so that
 * linking and unlinking need no special cases:
 *
 *     | 0 none | 1 .. capacity flows | list 0 | list 1 | ... | list 63 |
 */

declare const slotBrand: unique symbol;
/** Index of a slot, branded so that no other number passes for one. */
export type Slot = number & { readonly [slotBrand]: true };
export const NO_SLOT = 0 as Slot;

export const SLOT_SHIFT = 4;
export const SLOT_WORDS = 1 << SLOT_SHIFT;

export const HASH = 0;
/** Words 1 to 3 are words 0 to 2 of the key. */
export const KEY = 1;
export const INFO = 4;
export const GENERATION = 5;
export const MOVED = 6;
export const CHAIN = 7;
export const PREVIOUS = 8;
export const NEXT = 9;
/** Words 10 to 15 are words 4 to 9 of the key. */
export const KEY_REST = 10;

/** In slot 0: the first slot of the stack of free slots, chained by their CHAIN words. */
export const FREE = CHAIN;
/** In slot 0: this slot and all behind it were never used. */
export const UNUSED = NEXT;

export const LIST_SHIFT = 13;
/**
 * A list contains flows of one state, all revoked or none. Its number is the state's, plus this if
 * they are revoked.
 */
export const REVOKED_LISTS = 32;
export const LISTS = 64;
export const OPENER_IS_B_SHIFT = 19;
export const NOTES_SHIFT = 20;

/** Returns the list of the flow with this info word. */
export function listOf(info: number): number {
  return (info >>> LIST_SHIFT) & (LISTS - 1);
}
