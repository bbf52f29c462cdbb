/**
 * Prefetches what looking up the flows of a batch will read. In a table too large for the caches a
 * lookup waits for memory twice: for the bucket, then for the slot. Announced first, the reads of a
 * whole batch wait together. No result depends on it: an announcement without a lookup, or the
 * reverse, only costs time.
 */
import type { Packet } from '../packet/packet.ts';
import { FlowKey } from './flow-key.ts';
import { HASH, SLOT_SHIFT } from './slots.ts';

/**
 * Number of flows from which prefetching pays. A smaller table fits into the caches, and reading it
 * twice costs more (bench/README.md).
 */
export const LOOKAHEAD_FROM = 100_000;
/**
 * Packets to prefetch for at once, a power of two. If more are announced, only the last ones count.
 */
const AHEAD = 64;

export class Lookahead {
  readonly #words: Int32Array;
  readonly #buckets: Int32Array;
  readonly #key: FlowKey;
  readonly #hashes = new Int32Array(AHEAD);
  readonly #slots = new Int32Array(AHEAD);
  #announced = 0;
  /** Depends on every read, so that no compiler removes the reads as unused. */
  #read = 0;

  /** Takes the memory of a flow table, and the key of its hash. */
  constructor(words: Int32Array, buckets: Int32Array, seed: readonly [number, number]) {
    this.#words = words;
    this.#buckets = buckets;
    this.#key = new FlowKey(seed);
  }

  /** Announces a packet whose flow is about to be looked up. */
  announce(packet: Packet): void {
    const key = this.#key;
    if (!key.set(packet)) return;
    this.#hashes[this.#announced & (AHEAD - 1)] = key.hash;
    this.#announced++;
  }

  /**
   * Reads for every packet announced since the last call. The loops are short on purpose: the
   * processor then has the reads of many packets in flight.
   */
  read(): void {
    const hashes = this.#hashes;
    const slots = this.#slots;
    const words = this.#words;
    const buckets = this.#buckets;
    const count = Math.min(this.#announced, AHEAD);
    const mask = buckets.length - 1;
    for (let i = 0; i < count; i++) slots[i] = buckets[(hashes[i] as number) & mask] as number;
    let read = 0;
    for (let i = 0; i < count; i++) read ^= words[((slots[i] as number) << SLOT_SHIFT) + HASH] as number;
    this.#read ^= read;
    this.#announced = 0;
  }
}
