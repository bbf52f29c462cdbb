/**
 * The table of tracked connections. A packet of either direction finds its flow and moves it
 * through its states; idle flows expire; the capacity is fixed. Only the constructor allocates or
 * throws.
 *
 * `now` is always the coarse clock: ms as an int32 that wraps, read once a batch. Call `expire` at
 * least every few days.
 */
import type { Packet } from '../packet/packet.ts';
import { FlowKey, KEY_KIND } from './flow-key.ts';
import { FlowLists } from './flow-lists.ts';
import { randomKey } from './hash.ts';
import { Lookahead } from './lookahead.ts';
import { hasKey, readOpening, writeKey } from './slot-key.ts';
import {
  CHAIN,
  FREE,
  GENERATION,
  HASH,
  INFO,
  LIST_SHIFT,
  LISTS,
  listOf,
  MOVED,
  NO_SLOT,
  NOTES_SHIFT,
  OPENER_IS_B_SHIFT,
  REVOKED_LISTS,
  SLOT_SHIFT,
  SLOT_WORDS,
  type Slot,
  UNUSED,
} from './slots.ts';
import { nextState, STATES, WORTH_REVOKED, WORTHS, worthOf } from './states.ts';
import { type Timeouts, timeoutsByState } from './timeouts.ts';

/**
 * Least time in ms between two moves of a flow to the end of its list, so that most packets only
 * read. Each flow lives that much longer than its timeout.
 */
export const MOVE_INTERVAL = 1000;
export const MAX_CAPACITY = 1 << 24;
/**
 * List heads that an insertion checks for expiry: two, so that the table shrinks faster than it
 * grows.
 */
const EXPIRE_PER_INSERT = 2;

/**
 * A sixteenth of the table is reserved for unanswered flows and another for revoked ones, however
 * many replied flows there are: otherwise a table full of replied flows would evict each new flow
 * before its answer comes. A flood of unanswered flows takes no more than that from the replied
 * ones.
 */
const RESERVE_SHIFT = 4;

/** Indexes into `FlowTable.counters`. Evictions are counted by worth, from EVICTED on. */
export const INSERTED = 0;
export const EXPIRED = 1;
export const EVICTED = 2;

export class FlowTable {
  readonly capacity: number;
  /** The slots; slots.ts describes the layout. */
  readonly words: Int32Array;
  /** First slot of each hash chain. */
  readonly buckets: Int32Array;
  readonly lists: FlowLists;
  /** Worth its cost once the table holds LOOKAHEAD_FROM flows. */
  readonly lookahead: Lookahead;
  /**
   * Flows inserted, expired, and evicted by worth, since the table exists. Doubles, because they
   * outgrow int32.
   */
  readonly counters = new Float64Array(EVICTED + WORTHS.length);
  /** Flows in the table. */
  size = 0;

  readonly #seed: readonly [number, number];
  /** By list: ms without a move after which a flow expires. */
  readonly #lifetimes: Int32Array;
  /** By worth: the lists that can contain such flows. */
  readonly #listsByWorth: readonly Int32Array[];
  /** By worth: eviction spares this many flows while there are others. */
  readonly #reserves: Int32Array;
  /** The list that `expire` checks next. */
  #cursor = 0;

  /**
   * @param capacity in flows, 1 to MAX_CAPACITY; each takes 64 bytes, plus 8 to 16 for its hash
   * chain
   * @param seed key of the hash; tests give one to be repeatable
   * @throws RangeError if the capacity or a timeout is out of bounds
   */
  constructor(capacity: number, timeouts: Partial<Timeouts> = {}, seed: readonly [number, number] = randomKey()) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY) {
      throw new RangeError(`flow table capacity ${capacity} is not between 1 and ${MAX_CAPACITY}`);
    }
    this.capacity = capacity;
    this.words = new Int32Array((1 + capacity + LISTS) * SLOT_WORDS);
    this.buckets = new Int32Array(2 << (32 - Math.clz32(capacity - 1)));
    this.words[UNUSED] = 1;
    this.lists = new FlowLists(this.words, 1 + capacity);
    this.lookahead = new Lookahead(this.words, this.buckets, seed);
    this.#seed = seed;
    this.#lifetimes = lifetimesByList(timeoutsByState(timeouts));
    this.#listsByWorth = listsByWorth();
    const reserve = capacity >> RESERVE_SHIFT;
    this.#reserves = Int32Array.of(0, reserve, reserve, 0);
  }

  /** Returns a key for `find` and `insert` of this table: its hash is seeded like the table's. */
  createKey(): FlowKey {
    return new FlowKey(this.#seed);
  }

  /** Returns the flow with this key, or NO_SLOT. Does not keep the flow alive. */
  find(key: FlowKey, now: number): Slot {
    const words = this.words;
    const { words: wanted, hash } = key;
    let slot = this.buckets[hash & (this.buckets.length - 1)] as Slot;
    while (slot !== NO_SLOT) {
      const at = slot << SLOT_SHIFT;
      if (words[at + HASH] === hash && hasKey(words, at, wanted)) {
        const info = words[at + INFO] as number;
        if (((now - (words[at + MOVED] as number)) | 0) > (this.#lifetimes[listOf(info)] as number)) {
          this.#count(EXPIRED);
          this.remove(slot);
          return NO_SLOT;
        }
        return slot;
      }
      slot = words[at + CHAIN] as Slot;
    }
    return NO_SLOT;
  }

  /**
   * Returns the side of the flow that sent the key's packet: OPENER or OTHER. The flow must have
   * that key.
   */
  sideOf(slot: Slot, key: FlowKey): number {
    return key.fromB ^ (((this.words[(slot << SLOT_SHIFT) + INFO] as number) >>> OPENER_IS_B_SHIFT) & 1);
  }

  /**
   * Inserts a flow under a key that the table does not have. The opener is the side that sent the
   * key's packet or, with `opener` OTHER, the side that receives it. Evicts the least valuable flow
   * if the table is full.
   */
  insert(key: FlowKey, opener: number, state: number, generation: number, notes: number, now: number): Slot {
    this.expire(now, EXPIRE_PER_INSERT);
    const slot = this.#takeSlot();
    const { words: identity, hash, fromB } = key;
    const words = this.words;
    const at = slot << SLOT_SHIFT;
    words[at + HASH] = hash;
    writeKey(words, at, identity);
    words[at + INFO] =
      (identity[KEY_KIND] as number) |
      (state << LIST_SHIFT) |
      ((fromB ^ opener) << OPENER_IS_B_SHIFT) |
      (notes << NOTES_SHIFT);
    words[at + GENERATION] = generation;
    const bucket = hash & (this.buckets.length - 1);
    words[at + CHAIN] = this.buckets[bucket] as number;
    this.buckets[bucket] = slot;
    this.lists.append(state, slot, now);
    this.size++;
    this.#count(INSERTED);
    return slot;
  }

  /** Moves the flow to its next state after a packet of `side` passed, and keeps it alive. */
  advance(slot: Slot, side: number, event: number, now: number): void {
    const at = slot << SLOT_SHIFT;
    const list = listOf(this.words[at + INFO] as number);
    const revoked = list & REVOKED_LISTS;
    const next = nextState(list ^ revoked, side, event) | revoked;
    if (next !== list || ((now - (this.words[at + MOVED] as number)) | 0) >= MOVE_INTERVAL) this.#move(slot, next, now);
  }

  /** Keeps the flow alive, in its state, after a packet that did not pass. */
  touch(slot: Slot, now: number): void {
    const at = slot << SLOT_SHIFT;
    if (((now - (this.words[at + MOVED] as number)) | 0) >= MOVE_INTERVAL) {
      this.#move(slot, listOf(this.words[at + INFO] as number), now);
    }
  }

  /** Returns the generation of the rules that last judged the flow. */
  generation(slot: Slot): number {
    return this.words[(slot << SLOT_SHIFT) + GENERATION] as number;
  }

  state(slot: Slot): number {
    return listOf(this.words[(slot << SLOT_SHIFT) + INFO] as number) & (REVOKED_LISTS - 1);
  }

  isRevoked(slot: Slot): boolean {
    return (listOf(this.words[(slot << SLOT_SHIFT) + INFO] as number) & REVOKED_LISTS) !== 0;
  }

  /** Returns twelve bits that have a meaning for the caller only. */
  notes(slot: Slot): number {
    return (this.words[(slot << SLOT_SHIFT) + INFO] as number) >>> NOTES_SHIFT;
  }

  /**
   * Records that the rules of `generation` judged the flow: denied both ways from now on, or
   * allowed.
   */
  judged(slot: Slot, generation: number, revoked: boolean, notes: number, now: number): void {
    const at = slot << SLOT_SHIFT;
    const info = this.words[at + INFO] as number;
    this.words[at + GENERATION] = generation;
    this.words[at + INFO] = (info & ((1 << NOTES_SHIFT) - 1)) | (notes << NOTES_SHIFT);
    const list = listOf(info);
    const next = revoked ? list | REVOKED_LISTS : list & ~REVOKED_LISTS;
    if (next !== list) this.#move(slot, next, now);
  }

  /** Writes the flow into a packet as its opener sends it: family, protocol, addresses, ports. */
  readOpening(slot: Slot, packet: Packet): void {
    readOpening(this.words, slot << SLOT_SHIFT, packet);
  }

  remove(slot: Slot): void {
    const words = this.words;
    const at = slot << SLOT_SHIFT;
    this.lists.unlink(listOf(words[at + INFO] as number), slot);
    const bucket = (words[at + HASH] as number) & (this.buckets.length - 1);
    const after = words[at + CHAIN] as number;
    let previous = this.buckets[bucket] as number;
    if (previous === slot) {
      this.buckets[bucket] = after;
    } else {
      while (words[(previous << SLOT_SHIFT) + CHAIN] !== slot)
        previous = words[(previous << SLOT_SHIFT) + CHAIN] as number;
      words[(previous << SLOT_SHIFT) + CHAIN] = after;
    }
    words[at + CHAIN] = words[FREE] as number;
    words[FREE] = slot;
    this.size--;
  }

  /**
   * Removes flows that were idle for their timeout and returns how many. Checks at most `budget`
   * flows and empty lists.
   */
  expire(now: number, budget: number): number {
    let removed = 0;
    // Nothing is left to remove once each list was checked since the last removal.
    let left = USED_LISTS;
    for (let i = 0; i < budget && left > 0; i++) {
      const list = this.#cursor;
      const slot = this.lists.first(list);
      const idle = slot === NO_SLOT ? 0 : (now - (this.words[(slot << SLOT_SHIFT) + MOVED] as number)) | 0;
      if (idle > (this.#lifetimes[list] as number)) {
        this.remove(slot);
        removed++;
        left = USED_LISTS;
      } else {
        this.#cursor = nextList(list);
        left--;
      }
    }
    this.counters[EXPIRED] = (this.counters[EXPIRED] as number) + removed;
    return removed;
  }

  #move(slot: Slot, list: number, now: number): void {
    const at = (slot << SLOT_SHIFT) + INFO;
    const info = this.words[at] as number;
    this.lists.unlink(listOf(info), slot);
    this.words[at] = (info & ~((LISTS - 1) << LIST_SHIFT)) | (list << LIST_SHIFT);
    this.lists.append(list, slot, now);
  }

  /**
   * Returns a freed slot, else one that was never used (so that memory is touched only when
   * needed), else evicts a flow.
   */
  #takeSlot(): Slot {
    const words = this.words;
    if (words[FREE] === NO_SLOT) {
      const unused = words[UNUSED] as Slot;
      if (unused <= this.capacity) {
        words[UNUSED] = unused + 1;
        return unused;
      }
      this.#evict();
    }
    const slot = words[FREE] as Slot;
    words[FREE] = words[(slot << SLOT_SHIFT) + CHAIN] as number;
    return slot;
  }

  /**
   * Evicts one flow: of the lowest worth that exceeds its reserve, the one that was idle longest.
   */
  #evict(): void {
    for (let worth = 0; worth < WORTHS.length; worth++)
      if (this.#flowsOf(worth) > (this.#reserves[worth] as number) && this.#evictOf(worth)) return;
    for (let worth = 0; worth < WORTHS.length; worth++) if (this.#evictOf(worth)) return;
  }

  #flowsOf(worth: number): number {
    const lists = this.#listsByWorth[worth] as Int32Array;
    let flows = 0;
    for (let i = 0; i < lists.length; i++) flows += this.lists.sizes[lists[i] as number] as number;
    return flows;
  }

  #evictOf(worth: number): boolean {
    const lists = this.#listsByWorth[worth] as Int32Array;
    let oldest = NO_SLOT;
    let oldestMoved = 0;
    for (let i = 0; i < lists.length; i++) {
      const slot = this.lists.first(lists[i] as number);
      if (slot === NO_SLOT) continue;
      const moved = this.words[(slot << SLOT_SHIFT) + MOVED] as number;
      if (oldest === NO_SLOT || ((moved - oldestMoved) | 0) < 0) {
        oldest = slot;
        oldestMoved = moved;
      }
    }
    if (oldest === NO_SLOT) return false;
    this.#count(EVICTED + worth);
    this.remove(oldest);
    return true;
  }

  #count(counter: number): void {
    this.counters[counter] = (this.counters[counter] as number) + 1;
  }
}

/** Number of lists that can contain flows. */
const USED_LISTS = 2 * (STATES.length - 1);

/**
 * Returns the next list that can contain flows; numbers between the states and their revoked twins
 * are unused.
 */
function nextList(list: number): number {
  const next = list + 1;
  if (next === STATES.length) return REVOKED_LISTS + 1;
  return next === REVOKED_LISTS + STATES.length ? 1 : next;
}

function lifetimesByList(timeouts: Int32Array): Int32Array {
  return Int32Array.from(
    { length: LISTS },
    (_, list) => (timeouts[list & (REVOKED_LISTS - 1)] as number) + MOVE_INTERVAL,
  );
}

function listsByWorth(): readonly Int32Array[] {
  const byWorth: number[][] = WORTHS.map(() => []);
  for (let state = 1; state < STATES.length; state++) {
    byWorth[worthOf(state)]?.push(state);
    byWorth[WORTH_REVOKED]?.push(REVOKED_LISTS + state);
  }
  return byWorth.map((lists) => Int32Array.from(lists));
}
