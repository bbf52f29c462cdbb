/** Many label selectors, and the question which of them match given labels. */
import type { LabelSelector, Labels } from '../cluster/records.ts';
import { matchesSelector } from '../cluster/selector.ts';

/** Below this, trying each selector is cheaper than an index. */
const FEW = 8;

/**
 * Things with a label selector. Where there are many, those that require some label to have one of some values are found by that label:
 * ten thousand selectors `app=one`, `app=two`, ... cost a lookup of `app`, not ten thousand matches.
 */
export class SelectorSet<T> {
  private readonly selectorOf: (item: T) => LabelSelector;
  private readonly items = new Set<T>();
  /** By label key and value. Only while there are many. */
  private byLabel: Map<string, Map<string, Set<T>>> | undefined;
  /** Those that the index cannot find. */
  private readonly others = new Set<T>();

  constructor(selectorOf: (item: T) => LabelSelector) {
    this.selectorOf = selectorOf;
  }

  get size(): number {
    return this.items.size;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.items.values();
  }

  add(item: T): void {
    this.items.add(item);
    if (this.byLabel !== undefined) {
      this.index(item, this.byLabel);
    } else if (this.items.size > FEW) {
      this.byLabel = new Map();
      for (const each of this.items) this.index(each, this.byLabel);
    }
  }

  delete(item: T): void {
    if (!this.items.delete(item) || this.byLabel === undefined) return;
    const required = requiredLabel(this.selectorOf(item));
    if (required === undefined) {
      this.others.delete(item);
      return;
    }
    const byValue = this.byLabel.get(required.key);
    for (const value of required.values) {
      const bucket = byValue?.get(value);
      bucket?.delete(item);
      if (bucket?.size === 0) byValue?.delete(value);
    }
    if (byValue?.size === 0) this.byLabel.delete(required.key);
  }

  clear(): void {
    this.items.clear();
    this.others.clear();
    this.byLabel = undefined;
  }

  /** Appends to `found` what matches the labels, each once, in no particular order. */
  match(labels: Labels, found: T[]): void {
    if (this.byLabel === undefined) {
      this.matchEach(this.items, labels, found);
      return;
    }
    this.matchEach(this.others, labels, found);
    for (const [key, byValue] of this.byLabel) {
      if (!Object.hasOwn(labels, key)) continue;
      const bucket = byValue.get(labels[key] as string);
      if (bucket !== undefined) this.matchEach(bucket, labels, found);
    }
  }

  private matchEach(items: Iterable<T>, labels: Labels, found: T[]): void {
    for (const item of items) {
      if (matchesSelector(this.selectorOf(item), labels)) found.push(item);
    }
  }

  private index(item: T, byLabel: Map<string, Map<string, Set<T>>>): void {
    const required = requiredLabel(this.selectorOf(item));
    if (required === undefined) {
      this.others.add(item);
      return;
    }
    const byValue = byLabel.get(required.key) ?? new Map<string, Set<T>>();
    byLabel.set(required.key, byValue);
    for (const value of required.values) {
      const bucket = byValue.get(value);
      if (bucket === undefined) byValue.set(value, new Set([item]));
      else bucket.add(item);
    }
  }
}

/** A label that everything matched has, and the values that it may have; undefined where the selector requires none. */
function requiredLabel(selector: LabelSelector): { key: string; values: readonly string[] } | undefined {
  for (const [key, value] of Object.entries(selector.matchLabels)) return { key, values: [value] };
  return selector.matchExpressions.find(({ operator }) => operator === 'In');
}
