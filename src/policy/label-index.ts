/**
 * Finds items by their labels, for the question which of them a new selector matches: a selector
 * that requires `k8s-app=kube-dns` anywhere in the cluster looks only at the items with that label.
 * If a selector requires several labels, the rarest one is used.
 */
import type { LabelSelector, Labels } from '../cluster/records.ts';

/**
 * Most values of labels like `pod-template-hash` belong to one item, which then stands for its set.
 */
type Bucket<T extends object> = T | Set<T>;

/** Default of `mostValues` in `candidates`. */
const MANY_VALUES = 1000;

/** A label that a selector requires. */
interface Required {
  readonly key: string;
  /** Undefined if the label only has to exist. */
  readonly values: Iterable<string> | undefined;
  /** How many items have it. */
  readonly count: number;
}

export class LabelIndex<T extends object> {
  private readonly byKey = new Map<string, Map<string, Bucket<T>>>();
  /** By key: how many items have it, with any value. */
  private readonly sizes = new Map<string, number>();

  /** Adds an item that is not in the index. */
  add(item: T, labels: Labels): void {
    for (const key in labels) {
      const value = labels[key] as string;
      this.sizes.set(key, (this.sizes.get(key) ?? 0) + 1);
      const byValue = this.byKey.get(key);
      if (byValue === undefined) {
        this.byKey.set(key, new Map([[value, item]]));
        continue;
      }
      const bucket = byValue.get(value);
      if (bucket === undefined) byValue.set(value, item);
      else if (bucket instanceof Set) bucket.add(item);
      else byValue.set(value, new Set([bucket, item]));
    }
  }

  /** Removes an item that was added with these labels. */
  remove(item: T, labels: Labels): void {
    for (const key in labels) {
      const value = labels[key] as string;
      this.sizes.set(key, (this.sizes.get(key) ?? 0) - 1);
      const byValue = this.byKey.get(key);
      const bucket = byValue?.get(value);
      if (bucket instanceof Set) bucket.delete(item);
      if (bucket === item || (bucket instanceof Set && bucket.size === 0)) byValue?.delete(value);
      if (byValue?.size === 0) {
        this.byKey.delete(key);
        this.sizes.delete(key);
      }
    }
  }

  /**
   * Returns how many items have the rarest label that the selector requires; undefined if it
   * requires none. Changes by at most 1 with each item that comes or goes.
   */
  count(selector: LabelSelector): number | undefined {
    return rarest(this.requiredOf(selector, Number.POSITIVE_INFINITY))?.count;
  }

  /**
   * Returns all items that the selector can match, and more: those with the rarest label that it
   * requires. Undefined if it requires none, so that any item can match.
   * @param mostValues with more values than this, a label that only has to exist does not count as
   * required
   */
  candidates(selector: LabelSelector, mostValues = MANY_VALUES): Candidates<T> | undefined {
    const found = rarest(this.requiredOf(selector, mostValues));
    return found && new Candidates(found.count, this.having(found.key, found.values));
  }

  private *requiredOf({ matchLabels, matchExpressions }: LabelSelector, mostValues: number): Generator<Required> {
    for (const key in matchLabels) yield this.required(key, [matchLabels[key] as string]);
    for (const { key, operator, values } of matchExpressions) {
      if (operator === 'In') yield this.required(key, new Set(values));
      else if (operator === 'Exists' && this.valuesOf(key) <= mostValues)
        yield { key, values: undefined, count: this.sizes.get(key) ?? 0 };
    }
  }

  private required(key: string, values: Iterable<string>): Required {
    let count = 0;
    for (const bucket of this.having(key, values)) count += bucket instanceof Set ? bucket.size : 1;
    return { key, values, count };
  }

  /** @param values undefined for any value */
  private having(key: string, values: Iterable<string> | undefined): Bucket<T>[] {
    const byValue = this.byKey.get(key);
    if (values === undefined) return [...(byValue?.values() ?? [])];
    const buckets: Bucket<T>[] = [];
    for (const value of values) {
      const bucket = byValue?.get(value);
      if (bucket !== undefined) buckets.push(bucket);
    }
    return buckets;
  }

  private valuesOf(key: string): number {
    return this.byKey.get(key)?.size ?? 0;
  }
}

/** Returns the label that the fewest items have; the first of equals. */
function rarest(labels: Iterable<Required>): Required | undefined {
  let fewest: Required | undefined;
  for (const label of labels) if (fewest === undefined || label.count < fewest.count) fewest = label;
  return fewest;
}

/** Some of the indexed items, each once. */
export class Candidates<T extends object> {
  readonly count: number;
  private readonly buckets: readonly Bucket<T>[];

  constructor(count: number, buckets: readonly Bucket<T>[]) {
    this.count = count;
    this.buckets = buckets;
  }

  /** Returns all of them, in the index's own collections; nothing is copied. */
  lists(): readonly Iterable<T>[] {
    return this.buckets.map((bucket) => (bucket instanceof Set ? bucket : [bucket]));
  }
}
