/** The known records of one collection, and the changes that are not delivered yet. */
import { isDeepStrictEqual } from 'node:util';
import { recordKey, type WatchedRecord } from '../cluster/records.ts';

/** Net differences, at most one for each record. */
export interface Differences<R> {
  readonly deleted: readonly R[];
  readonly set: readonly R[];
}

export class KnownRecords<R extends WatchedRecord> {
  #records = new Map<string, R>();
  /** Records that changed after the last takeDifferences(), as they were then. */
  #before = new Map<string, R | undefined>();
  #tracks = false;

  /** Starts to record differences. Before that, readers take the whole snapshot. */
  trackDifferences(): void {
    this.#tracks = true;
  }

  /** Takes the records as they are now for delivered. */
  forgetDifferences(): void {
    this.#before = new Map();
  }

  get size(): number {
    return this.#records.size;
  }

  get hasDifferences(): boolean {
    return this.#before.size > 0;
  }

  values(): R[] {
    return [...this.#records.values()];
  }

  set(record: R): void {
    const key = recordKey(record);
    const known = this.#records.get(key);
    if (known !== undefined && isDeepStrictEqual(known, record)) return;
    this.#remember(key, known);
    this.#records.set(key, record);
  }

  delete(record: R): void {
    const key = recordKey(record);
    const known = this.#records.get(key);
    if (known === undefined) return;
    this.#remember(key, known);
    this.#records.delete(key);
  }

  /** Begins a list. Its records count only after `replace`. */
  beginList(): RecordList<R> {
    return new RecordList(this.#records);
  }

  /** Replaces all records by those of a complete list. The caller must not use the list again. */
  replace(list: RecordList<R>): void {
    let gone = this.#records.size - list.confirmed;
    for (const [key, known] of this.#records) {
      // Stop once every missing record is found: a full scan of a large collection blocks the loop.
      if (gone === 0) break;
      if (list.records.has(key)) continue;
      this.#remember(key, known);
      gone--;
    }
    for (const key of list.changed) this.#remember(key, this.#records.get(key));
    this.#records = list.records;
  }

  /** Returns what changed after the last call. */
  takeDifferences(): Differences<R> {
    const deleted: R[] = [];
    const set: R[] = [];
    for (const [key, before] of this.#before) {
      const after = this.#records.get(key);
      if (after === undefined) {
        if (before !== undefined) deleted.push(before);
      } else if (before === undefined || !isDeepStrictEqual(before, after)) set.push(after);
    }
    this.#before = new Map();
    return { deleted, set };
  }

  #remember(key: string, known: R | undefined): void {
    if (this.#tracks && !this.#before.has(key)) this.#before.set(key, known);
  }
}

/**
 * A list that is being read. It compares each record on arrival, which spreads the work over the
 * time of the list, and drops a copy of a known record at once. It compares with the records at the
 * list's beginning and counts those that it confirms, so nothing else may change the records
 * meanwhile.
 */
export class RecordList<R extends WatchedRecord> {
  readonly #known: ReadonlyMap<string, R>;
  readonly records = new Map<string, R>();
  /** Keys of records that are new or different, or were so at any moment of the list. */
  readonly changed = new Set<string>();
  /** The number of known records that the list contains. */
  confirmed = 0;

  constructor(known: ReadonlyMap<string, R>) {
    this.#known = known;
  }

  set(record: R): void {
    const key = recordKey(record);
    const known = this.#known.get(key);
    const isSame = known !== undefined && isDeepStrictEqual(known, record);
    if (known !== undefined && !this.records.has(key)) this.confirmed++;
    this.records.set(key, isSame ? known : record);
    if (!isSame) this.changed.add(key);
  }

  delete(record: R): void {
    const key = recordKey(record);
    if (this.records.delete(key) && this.#known.has(key)) this.confirmed--;
  }
}
