/**
 * Reads ahead what finding the flows of a batch will read. In a table that no cache holds, a lookup waits for memory twice, bucket and then slot; announced
 * first, the reads of a whole batch wait together. Nothing is decided here: what was announced and is not looked up, or the other way, is only slower.
 */
import type { Packet } from '../packet/packet.ts';
import { FlowKey } from './flow-key.ts';
import { HASH, SLOT_SHIFT } from './slots.ts';

/** Flows from which on it pays: a smaller table lies in the caches, and then reading it twice costs more (bench/README.md). */
export const LOOKAHEAD_FROM = 100_000;
/** Packets that are looked ahead at once. A power of two; of more, the last ones. */
const AHEAD = 64;

export class Lookahead {
  readonly #words: Int32Array;
  readonly #buckets: Int32Array;
  readonly #key: FlowKey;
  readonly #hashes = new Int32Array(AHEAD);
  readonly #slots = new Int32Array(AHEAD);
  #announced = 0;
  /** What was read, so that no compiler finds the reads to be of no use. */
  #read = 0;

  /** Of a flow table's memory, and the key of its hash. */
  constructor(words: Int32Array, buckets: Int32Array, seed: readonly [number, number]) {
    this.#words = words;
    this.#buckets = buckets;
    this.#key = new FlowKey(seed);
  }

  /** The flow of this packet is soon looked for. */
  announce(packet: Packet): void {
    const key = this.#key;
    if (!key.set(packet)) return;
    this.#hashes[this.#announced & (AHEAD - 1)] = key.hash;
    this.#announced++;
  }

  /** Reads for all that were announced since. Short loops on purpose: the processor then has the reads of many packets under way. */
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
