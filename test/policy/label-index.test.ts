import { describe, expect, test } from 'vitest';
import type { LabelSelector, Labels, SelectorRequirement } from '../../src/cluster/records.ts';
import { LabelIndex } from '../../src/policy/label-index.ts';

function index(...items: readonly Labels[]) {
  const labels = new LabelIndex<Labels>();
  for (const item of items) labels.add(item, item);
  return labels;
}

function selector(matchLabels: Labels, ...matchExpressions: SelectorRequirement[]): LabelSelector {
  return { matchLabels, matchExpressions };
}

function found(labels: LabelIndex<Labels>, wanted: LabelSelector): Labels[] | undefined {
  const candidates = labels.candidates(wanted);
  const items = candidates?.lists().flatMap((list) => [...list]);
  expect(candidates?.count).toBe(items?.length);
  return items;
}

const [web1, web2, db] = [
  { app: 'web', v: '1' },
  { app: 'web', v: '2' },
  { app: 'db', v: '1', constructor: 'x' },
];

describe('candidates of a selector', () => {
  const labels = index(web1, web2, db);

  test('have the rarest of the labels that it requires', () => {
    expect(found(labels, selector({ app: 'web' }))).toEqual([web1, web2]);
    expect(found(labels, selector({ v: '1', app: 'db' }))).toEqual([db]);
    expect(found(labels, selector({ app: 'web' }, { key: 'v', operator: 'In', values: ['2'] }))).toEqual([web2]);
    expect(found(labels, selector({ app: 'none' }))).toEqual([]);
    expect(found(labels, selector({ unknown: '1' }))).toEqual([]);
  });

  test('are each listed once, even if a value is given twice', () => {
    const either: SelectorRequirement = { key: 'app', operator: 'In', values: ['web', 'db', 'web'] };
    expect(found(labels, selector({}, either))).toEqual([web1, web2, db]);
  });

  test('have the key that must exist', () => {
    expect(found(labels, selector({}, { key: 'constructor', operator: 'Exists', values: [] }))).toEqual([db]);
    expect(found(labels, selector({}, { key: 'toString', operator: 'Exists', values: [] }))).toEqual([]);
  });

  test('are unknown if no label is required', () => {
    expect(found(labels, selector({}))).toBeUndefined();
    expect(found(labels, selector({}, { key: 'app', operator: 'NotIn', values: ['web'] }))).toBeUndefined();
    expect(found(labels, selector({}, { key: 'app', operator: 'DoesNotExist', values: [] }))).toBeUndefined();
  });
});

test('a removed item is not found, and others with the same labels still are', () => {
  const labels = index(web1, web2, db);
  labels.remove(web1, web1);
  expect(found(labels, selector({ app: 'web' }))).toEqual([web2]);
  labels.remove(web2, web2);
  expect(found(labels, selector({ app: 'web' }))).toEqual([]);
  labels.remove(db, db);
  expect(found(labels, selector({ app: 'db' }))).toEqual([]);
  labels.add(web1, web1);
  expect(found(labels, selector({ v: '1' }))).toEqual([web1]);
});
