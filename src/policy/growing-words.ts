/**
 * Int32 words by a dense number, and such numbers: for the arrays of a RuleTable that are indexed,
 * not hashed.
 */

const SMALLEST = 64;

/** An Int32Array that grows as it is written; words never written are 0. */
export class GrowingWords {
  /** Grows with every change. */
  version = 0;
  private array = new Int32Array(SMALLEST);
  private end = 0;

  set(index: number, value: number): void {
    if (this.get(index) === value && index < this.end) return;
    this.reserve(index + 1);
    this.array[index] = value;
  }

  get(index: number): number {
    return this.array[index] ?? 0;
  }

  setAll(index: number, values: ArrayLike<number>): void {
    this.reserve(index + values.length);
    this.array.set(values, index);
  }

  /** Returns everything written so far, from word 0 on: a view, not a copy. */
  words(): Int32Array {
    return this.array.subarray(0, this.end);
  }

  private reserve(end: number): void {
    this.version++;
    if (end > this.end) this.end = end;
    if (end <= this.array.length) return;
    const old = this.array;
    this.array = new Int32Array(Math.max(end, 2 * old.length));
    this.array.set(old);
  }
}

/** Hands out numbers from `first` on and reuses those given back, so that they stay dense. */
export class Numbers {
  private readonly free: number[] = [];
  private next: number;

  constructor(first: number) {
    this.next = first;
  }

  take(): number {
    return this.free.pop() ?? this.next++;
  }

  giveBack(number: number): void {
    this.free.push(number);
  }
}
