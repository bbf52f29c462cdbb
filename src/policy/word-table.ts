/**
 * The mutable side of the hash tables in a RuleTable: the same open addressing over int32 words, so that publishing is one copy of
 * `words`. An entry is `keyWords` words of key and one word of value, 0 for a free entry; see rule-table.ts for the layout.
 */
import { hashWords } from './hash.ts';

const SMALLEST = 8;

export class WordTable {
  /** The entries, at most half of them in use. Its length changes as the table grows and shrinks. */
  words: Int32Array;
  /** Entries in use. */
  size = 0;
  private readonly seed: number;
  private readonly keyWords: number;
  private readonly entryWords: number;
  private mask = SMALLEST - 1;

  constructor(seed: number, keyWords: number) {
    this.seed = seed;
    this.keyWords = keyWords;
    this.entryWords = keyWords + 1;
    this.words = new Int32Array(SMALLEST * this.entryWords);
  }

  /** The value at a key, 0 without one. */
  get(key: ArrayLike<number>): number {
    return this.words[this.find(key, 0) + this.keyWords] as number;
  }

  /** Adds or replaces; `value` is not 0. */
  set(key: ArrayLike<number>, value: number): void {
    let at = this.find(key, 0);
    if (this.words[at + this.keyWords] === 0) {
      this.size++;
      if (2 * this.size > this.mask + 1) {
        this.resize(2 * (this.mask + 1));
        at = this.find(key, 0);
      }
      for (let i = 0; i < this.keyWords; i++) this.words[at + i] = key[i] as number;
    }
    this.words[at + this.keyWords] = value;
  }

  /** Removes a key, if it is there. */
  delete(key: ArrayLike<number>): void {
    const at = this.find(key, 0);
    if (this.words[at + this.keyWords] === 0) return;
    this.size--;
    this.close(at / this.entryWords);
    // An eighth, where growing stops at a half: a table that swings around a bound does not move its entries each time.
    if (8 * this.size < this.mask + 1 && this.mask + 1 > SMALLEST) this.resize((this.mask + 1) / 4);
  }

  /** Index of the key's entry in `words`, or of the free one where it belongs. */
  private find(key: ArrayLike<number>, start: number): number {
    const { words, mask, keyWords, entryWords } = this;
    let entry = hashWords(this.seed, key, start, keyWords) & mask;
    for (;;) {
      const at = entry * entryWords;
      if (words[at + keyWords] === 0) return at;
      let i = 0;
      while (i < keyWords && words[at + i] === key[start + i]) i++;
      if (i === keyWords) return at;
      entry = (entry + 1) & mask;
    }
  }

  /**
   * Frees an entry by moving back those behind it that would otherwise no longer be found (Knuth, TAOCP 3, 6.4, algorithm R), so that
   * no tombstones slow the reader down.
   */
  private close(freed: number): void {
    const { words, mask, keyWords, entryWords } = this;
    let hole = freed;
    let entry = freed;
    for (;;) {
      entry = (entry + 1) & mask;
      const at = entry * entryWords;
      if (words[at + keyWords] === 0) break;
      const home = hashWords(this.seed, words, at, keyWords) & mask;
      // Move it where the hole lies on its way from home to where it is.
      if (((entry - home) & mask) >= ((entry - hole) & mask)) {
        words.copyWithin(hole * entryWords, at, at + entryWords);
        hole = entry;
      }
    }
    words.fill(0, hole * entryWords, (hole + 1) * entryWords);
  }

  private resize(entries: number): void {
    const old = this.words;
    const capacity = Math.max(entries, SMALLEST);
    this.words = new Int32Array(capacity * this.entryWords);
    this.mask = capacity - 1;
    for (let at = 0; at < old.length; at += this.entryWords) {
      if (old[at + this.keyWords] === 0) continue;
      this.words.set(old.subarray(at, at + this.entryWords), this.find(old, at));
    }
  }
}
