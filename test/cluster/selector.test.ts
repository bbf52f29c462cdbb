import { describe, expect, it } from 'vitest';
import type { LabelSelector, SelectorOperator } from '../../src/cluster/records.ts';
import { isEmptySelector, matchesSelector, selectorKey } from '../../src/cluster/selector.ts';

const selector = (
  matchLabels: Record<string, string>,
  ...requirements: [key: string, operator: SelectorOperator, ...values: string[]][]
): LabelSelector => ({
  matchLabels,
  matchExpressions: requirements.map(([key, operator, ...values]) => ({ key, operator, values })),
});

describe('matchesSelector', () => {
  const labels = { app: 'web', tier: 'front', empty: '' };

  it.each<[string, LabelSelector, boolean]>([
    ['an empty selector', selector({}), true],
    ['one label', selector({ app: 'web' }), true],
    ['two labels, both there', selector({ app: 'web', tier: 'front' }), true],
    ['two labels, one different', selector({ app: 'web', tier: 'back' }), false],
    ['a label that is absent', selector({ zone: 'a' }), false],
    ['an empty value', selector({ empty: '' }), true],
    ['an empty value against an absent key', selector({ zone: '' }), false],
    ['In with the value', selector({}, ['app', 'In', 'db', 'web']), true],
    ['In without the value', selector({}, ['app', 'In', 'db']), false],
    ['In of an absent key', selector({}, ['zone', 'In', 'a']), false],
    ['NotIn with the value', selector({}, ['app', 'NotIn', 'web']), false],
    ['NotIn without the value', selector({}, ['app', 'NotIn', 'db']), true],
    ['NotIn of an absent key', selector({}, ['zone', 'NotIn', 'a']), true],
    ['Exists of a key', selector({}, ['empty', 'Exists']), true],
    ['Exists of an absent key', selector({}, ['zone', 'Exists']), false],
    ['DoesNotExist of a key', selector({}, ['app', 'DoesNotExist']), false],
    ['DoesNotExist of an absent key', selector({}, ['zone', 'DoesNotExist']), true],
    ['Exists of a key that every JavaScript object inherits', selector({}, ['constructor', 'Exists']), false],
    ['labels and an expression that fails', selector({ app: 'web' }, ['tier', 'NotIn', 'front']), false],
    ['two expressions, one of which fails', selector({}, ['app', 'Exists'], ['zone', 'Exists']), false],
  ])('%s', (_, subject, expected) => {
    expect(matchesSelector(subject, labels)).toBe(expected);
  });
});

describe('selectorKey', () => {
  it.each<[string, LabelSelector, LabelSelector]>([
    ['labels', selector({ a: '1', b: '2' }), selector({ b: '2', a: '1' })],
    ['expressions', selector({}, ['a', 'Exists'], ['b', 'Exists']), selector({}, ['b', 'Exists'], ['a', 'Exists'])],
    ['values', selector({}, ['a', 'In', 'x', 'y']), selector({}, ['a', 'In', 'y', 'x', 'y'])],
    ['a label as In of one value', selector({ a: 'x' }), selector({}, ['a', 'In', 'x'])],
  ])('is the same whatever the order or spelling of %s', (_, a, b) => {
    expect(selectorKey(a)).toBe(selectorKey(b));
  });

  it('differs for selectors that match differently', () => {
    const selectors = [
      selector({}),
      selector({ a: 'x' }),
      selector({ 'a"': 'x' }),
      selector({ a: 'x', b: 'y' }),
      selector({}, ['a', 'In', 'x', 'y']),
      selector({}, ['a', 'In', 'x,y']),
      selector({}, ['a', 'NotIn', 'x', 'y']),
      selector({}, ['a', 'Exists']),
      selector({}, ['a', 'DoesNotExist']),
    ];
    expect(new Set(selectors.map(selectorKey)).size).toBe(selectors.length);
  });
});

it('isEmptySelector recognizes the selector that matches everything', () => {
  expect(isEmptySelector(selector({}))).toBe(true);
  expect(isEmptySelector(selector({ a: '' }))).toBe(false);
  expect(isEmptySelector(selector({}, ['a', 'Exists']))).toBe(false);
});
