/** What is known of one collection, and what of it nobody has taken yet: however long that takes, at most one difference a record. */
import { isDeepStrictEqual } from 'node:util';
import { type ClusterRecord, recordKey } from '../cluster/records.ts';

/** Net differences, at most one a record. */
export interface Differences<R> {
  readonly deleted: readonly R[];
  readonly set: readonly R[];
}

export class KnownRecords<R extends ClusterRecord> {
  #records = new Map<string, R>();
  /** Records that changed since the differences were last taken, and what they were then. */
  #before = new Map<string, R | undefined>();
  #tracks = false;

  /** From now on differences are remembered; until then the records are all news to everybody. */
  trackDifferences(): void {
    this.#tracks = true;
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

  /** A list that is being read: nothing of it is known before it is complete. */
  beginList(): RecordList<R> {
    return new RecordList(this.#records);
  }

  /** Takes a complete list as the whole truth. The list is not used again. */
  replace(list: RecordList<R>): void {
    let gone = this.#records.size - list.confirmed;
    for (const [key, known] of this.#records) {
      // Looked for no longer than there are any: in a large collection that holds up everybody.
      if (gone === 0) break;
      if (list.records.has(key)) continue;
      this.#remember(key, known);
      gone--;
    }
    for (const key of list.changed) this.#remember(key, this.#records.get(key));
    this.#records = list.records;
  }

  /** What changed since this was last called. */
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
 * Each record is compared as it comes, which spreads the work over the time of the list; one that is known already is let go at once.
 * It is compared with what was known when the list began, and those that are known are counted, so nothing else may change the records meanwhile.
 */
export class RecordList<R extends ClusterRecord> {
  readonly #known: ReadonlyMap<string, R>;
  readonly records = new Map<string, R>();
  /** Keys of records that are new or different, or were so while the list was read. */
  readonly changed = new Set<string>();
  /** How many of the records that were known are in the list. */
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
