/** Finds out of many label selectors those that match given labels. */
import type { LabelSelector, Labels } from '../cluster/records.ts';
import { matchesSelector } from '../cluster/selector.ts';

/** Up to this many selectors, trying each is cheaper than an index. */
const FEW = 8;

/**
 * Items with a label selector. If there are many, the selectors that require a label are found by
 * that label: for ten thousand selectors `app=one`, `app=two`, ... a match costs a lookup of `app`,
 * not ten thousand comparisons.
 */
export class SelectorSet<T> {
  private readonly selectorOf: (item: T) => LabelSelector;
  /** Items that are not found by a label; all items while there are few. */
  private unindexed: T[] = [];
  /** By label key and value; undefined while there are few items. */
  private byLabel: Map<string, Map<string, T[]>> | undefined;
  private count = 0;

  constructor(selectorOf: (item: T) => LabelSelector) {
    this.selectorOf = selectorOf;
  }

  get size(): number {
    return this.count;
  }

  /** Adds an item that is not in the set. */
  add(item: T): void {
    if (++this.count > FEW && this.byLabel === undefined) {
      const all = this.unindexed;
      this.unindexed = [];
      this.byLabel = new Map();
      for (const each of all) this.place(each, this.byLabel);
    }
    if (this.byLabel === undefined) this.unindexed.push(item);
    else this.place(item, this.byLabel);
  }

  /** Removes an item that is in the set. */
  delete(item: T): void {
    this.count--;
    const required = this.byLabel && requiredLabel(this.selectorOf(item));
    if (required === undefined) {
      remove(this.unindexed, item);
      return;
    }
    const byValue = this.byLabel?.get(required.key);
    for (const value of required.values) {
      const bucket = byValue?.get(value);
      if (bucket !== undefined && remove(bucket, item) === 0) byValue?.delete(value);
    }
    if (byValue?.size === 0) this.byLabel?.delete(required.key);
  }

  /** Appends the items that match the labels to `found`, each once, in no particular order. */
  match(labels: Labels, found: T[]): void {
    this.matchEach(this.unindexed, labels, found);
    if (this.byLabel === undefined) return;
    for (const [key, byValue] of this.byLabel) {
      const bucket = byValue.get(labels[key] as string);
      if (bucket !== undefined) this.matchEach(bucket, labels, found);
    }
  }

  private matchEach(items: readonly T[], labels: Labels, found: T[]): void {
    for (const item of items) if (matches(this.selectorOf(item), labels)) found.push(item);
  }

  private place(item: T, byLabel: Map<string, Map<string, T[]>>): void {
    const required = requiredLabel(this.selectorOf(item));
    if (required === undefined) {
      this.unindexed.push(item);
      return;
    }
    const byValue = byLabel.get(required.key) ?? new Map<string, T[]>();
    byLabel.set(required.key, byValue);
    for (const value of required.values) {
      const bucket = byValue.get(value);
      if (bucket === undefined) byValue.set(value, [item]);
      else bucket.push(item);
    }
  }
}

/**
 * The same as `matchesSelector`, but compares `matchLabels` first: most selectors do not match, and
 * this shows it sooner.
 */
export function matches(selector: LabelSelector, labels: Labels): boolean {
  const { matchLabels } = selector;
  for (const key in matchLabels) if (labels[key] !== matchLabels[key]) return false;
  return selector.matchExpressions.length === 0 || matchesSelector(selector, labels);
}

export interface RequiredLabel {
  readonly key: string;
  readonly values: ReadonlySet<string>;
}

/**
 * Returns a label that the selector requires, and the values that it may have; undefined if there
 * is none.
 */
export function requiredLabel({ matchLabels, matchExpressions }: LabelSelector): RequiredLabel | undefined {
  for (const key in matchLabels) return { key, values: new Set([matchLabels[key] as string]) };
  const required = matchExpressions.find(({ operator }) => operator === 'In');
  return required && { key: required.key, values: new Set(required.values) };
}

/** Returns the number of items left. */
function remove<T>(items: T[], item: T): number {
  items.splice(items.indexOf(item), 1);
  return items.length;
}
