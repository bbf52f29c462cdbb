/**
 * The writable side of the hash tables in a RuleTable. It uses the same open addressing over int32
 * words, so that publishing is one copy of `words()`. An entry is `keyWords` words of key and one
 * word of value, which is 0 in a free entry; see table-layout.ts for the layout.
 */
import { hashWords } from './hash.ts';

const SMALLEST = 8;

export class WordTable {
  /** Grows with every change. */
  version = 0;
  /** Entries in use. */
  size = 0;
  private readonly seed: number;
  private readonly keyWords: number;
  private readonly entryWords: number;
  private mask = SMALLEST - 1;
  /** At most half of them are in use; the array grows and shrinks with what is in use. */
  private entries: Int32Array;

  constructor(seed: number, keyWords: number) {
    this.seed = seed;
    this.keyWords = keyWords;
    this.entryWords = keyWords + 1;
    this.entries = new Int32Array(SMALLEST * this.entryWords);
  }

  /** Returns all entries: the array itself, not a copy. */
  words(): Int32Array {
    // Shrinks only here, so that replacing many entries does not shrink and grow the table. Shrinks
    // at an eighth but grows at a half, so that a size that swings around a bound does not move all
    // entries each time.
    while (8 * this.size < this.mask + 1 && this.mask + 1 > SMALLEST) this.resize((this.mask + 1) / 2);
    return this.entries;
  }

  /** Returns the value at a key; 0 if there is none. */
  get(key: ArrayLike<number>): number {
    return this.entries[this.find(key, 0) + this.keyWords] as number;
  }

  /** Adds or replaces a value, which must not be 0. */
  set(key: ArrayLike<number>, value: number): void {
    this.version++;
    let at = this.find(key, 0);
    if (this.entries[at + this.keyWords] === 0) {
      this.size++;
      if (2 * this.size > this.mask + 1) {
        this.resize(2 * (this.mask + 1));
        at = this.find(key, 0);
      }
      for (let i = 0; i < this.keyWords; i++) this.entries[at + i] = key[i] as number;
    }
    this.entries[at + this.keyWords] = value;
  }

  /** Removes a key if it is there. */
  delete(key: ArrayLike<number>): void {
    const at = this.find(key, 0);
    if (this.entries[at + this.keyWords] === 0) return;
    this.version++;
    this.size--;
    this.close(at / this.entryWords);
  }

  /**
   * Returns the index in `entries` of the key's entry, or of the free one for it. The key begins at
   * `key[start]`.
   */
  private find(key: ArrayLike<number>, start: number): number {
    const { entries, mask, keyWords, entryWords } = this;
    let entry = hashWords(this.seed, key, start, keyWords) & mask;
    for (;;) {
      const at = entry * entryWords;
      if (entries[at + keyWords] === 0) return at;
      let i = 0;
      while (i < keyWords && entries[at + i] === key[start + i]) i++;
      if (i === keyWords) return at;
      entry = (entry + 1) & mask;
    }
  }

  /**
   * Frees an entry, and moves back those behind it that would no longer be found (Knuth, TAOCP 3,
   * 6.4, algorithm R): tombstones would slow the reader down.
   */
  private close(freed: number): void {
    const { entries, mask, keyWords, entryWords } = this;
    let hole = freed;
    let entry = freed;
    for (;;) {
      entry = (entry + 1) & mask;
      const at = entry * entryWords;
      if (entries[at + keyWords] === 0) break;
      const home = hashWords(this.seed, entries, at, keyWords) & mask;
      // Move the entry if the hole lies between its home and its place.
      if (((entry - home) & mask) >= ((entry - hole) & mask)) {
        entries.copyWithin(hole * entryWords, at, at + entryWords);
        hole = entry;
      }
    }
    entries.fill(0, hole * entryWords, (hole + 1) * entryWords);
  }

  private resize(capacity: number): void {
    const old = this.entries;
    const { entryWords, keyWords } = this;
    const entries = new Int32Array(capacity * entryWords);
    this.entries = entries;
    this.mask = capacity - 1;
    this.version++;
    for (let from = 0; from < old.length; from += entryWords) {
      if (old[from + keyWords] === 0) continue;
      const to = this.find(old, from);
      for (let i = 0; i < entryWords; i++) entries[to + i] = old[from + i] as number;
    }
  }
}
