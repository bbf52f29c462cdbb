/** What selecting a pod costs if pods have thousands of labels, in labels read. */
import { describe, expect, it } from 'vitest';
import type { Labels, PodRecord } from '../../src/cluster/records.ts';
import { matchesSelector } from '../../src/cluster/selector.ts';
import { MOST_LABELS, selectionOf } from '../../src/explain/pod-selection.ts';
import { pod } from '../policy/records.ts';

let reads = 0;
const counting: ProxyHandler<Record<string, string>> = {
  get(labels, key) {
    reads++;
    return Reflect.get(labels, key);
  },
  getOwnPropertyDescriptor(labels, key) {
    reads++;
    return Reflect.getOwnPropertyDescriptor(labels, key);
  },
};

const labelsOf = (count: number, value: (i: number) => string): Labels =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, value(i)]));

function counted(name: string, labels: Labels): PodRecord {
  return { ...pod(name, '10.0.0.1', {}), labels: new Proxy({ ...labels }, counting) };
}

function readsOf(pods: readonly PodRecord[]): number {
  reads = 0;
  selectionOf(pods[0] as PodRecord, pods);
  return reads;
}

const ratio = (of: (count: number) => readonly PodRecord[]) => readsOf(of(2000)) / readsOf(of(500));

describe('the selection of a pod with many labels', () => {
  it('costs in proportion to its labels, among pods with as many', () => {
    const of = (count: number) =>
      Array.from({ length: 10 }, (_, n) => counted(`a/p${n}`, { ...labelsOf(count, () => 'v'), n: `${n}` }));
    expect(ratio(of)).toBeLessThan(6);
  });

  it('costs in proportion to the labels of the others', () => {
    const of = (count: number) => [
      counted('a/p', { app: 'a' }),
      ...Array.from({ length: 20 }, (_, n) => {
        const labels = Object.entries(labelsOf(count, () => 'v')).map(([key, value]) => [`${n}${key}`, value]);
        return counted(`a/p${n}`, { app: 'a', ...Object.fromEntries(labels) });
      }),
    ];
    expect(ratio(of)).toBeLessThan(6);
  });

  it('stays short enough to read, and names the pods that it also selects', () => {
    const many = labelsOf(8000, () => 'v');
    const own = pod('a/own', '10.0.0.1', { ...many, app: 'web' });
    const other = pod('a/other', '10.0.0.2', { ...many, app: 'db' });
    const same = pod('a/same', '10.0.0.3', { ...many, app: 'web', k7999: 'else' });
    const { selector, alike } = selectionOf(own, [own, other, same]);
    expect(Object.keys(selector.matchLabels).length).toBeLessThanOrEqual(MOST_LABELS);
    expect(matchesSelector(selector, own.labels)).toBe(true);
    expect(matchesSelector(selector, other.labels)).toBe(false);
    expect(alike).toEqual(matchesSelector(selector, same.labels) ? [same] : []);
  });
});
