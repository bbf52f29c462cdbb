/** An array with cheap snapshots: a page is copied when it is first written after a snapshot. */

const PAGE_BITS = 9;
const PAGE_LENGTH = 1 << PAGE_BITS;

export interface ArraySnapshot<T> {
  at(index: number): T | undefined;
}

export class SnapshotArray<T> {
  private pages: (T | undefined)[][] = [];
  /** By page: whether a snapshot has it, too. */
  private shared: boolean[] = [];

  set(index: number, value: T | undefined): void {
    const page = index >>> PAGE_BITS;
    const present = this.pages[page];
    if (present === undefined || this.shared[page]) {
      this.pages[page] = present === undefined ? new Array<T | undefined>(PAGE_LENGTH) : present.slice();
      this.shared[page] = false;
    }
    (this.pages[page] as (T | undefined)[])[index & (PAGE_LENGTH - 1)] = value;
  }

  at(index: number): T | undefined {
    return this.pages[index >>> PAGE_BITS]?.[index & (PAGE_LENGTH - 1)];
  }

  snapshot(): ArraySnapshot<T> {
    const pages = this.pages.slice();
    this.shared.fill(true);
    return { at: (index) => (index < 0 ? undefined : pages[index >>> PAGE_BITS]?.[index & (PAGE_LENGTH - 1)]) };
  }
}
