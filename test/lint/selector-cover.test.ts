import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { LabelSelector, SelectorRequirement } from '../../src/cluster/records.ts';
import { matchesSelector } from '../../src/cluster/selector.ts';
import { selectorCovers } from '../../src/lint/selector-cover.ts';

const KEYS = ['app', 'tier'];
const VALUES = ['x', 'y', 'z'];
const requirement: fc.Arbitrary<SelectorRequirement> = fc.oneof(
  fc.record({
    key: fc.constantFrom(...KEYS),
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.uniqueArray(fc.constantFrom(...VALUES), { minLength: 1 }),
  }),
  fc.record({
    key: fc.constantFrom(...KEYS),
    operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
    values: fc.constant([]),
  }),
);
const selector: fc.Arbitrary<LabelSelector> = fc.record({
  matchLabels: fc.dictionary(fc.constantFrom(...KEYS), fc.constantFrom(...VALUES), {
    maxKeys: 1,
    noNullPrototype: true,
  }),
  matchExpressions: fc.array(requirement, { maxLength: 2 }),
});

/** Every set of labels that can make a difference. */
const LABELS = [undefined, ...VALUES, 'other'].flatMap((app) =>
  [undefined, ...VALUES, 'other'].map((tier) => ({ ...(app && { app }), ...(tier && { tier }) })),
);

const SEED = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };

it('a selector that covers another matches everything that the other matches', () => {
  let covered = 0;
  fc.assert(
    fc.property(selector, selector, (wide, narrow) => {
      if (!selectorCovers(wide, narrow)) return;
      covered++;
      for (const labels of LABELS) {
        if (matchesSelector(narrow, labels))
          expect({ labels, wide: matchesSelector(wide, labels) }).toEqual({ labels, wide: true });
      }
    }),
    { numRuns: 3000, ...SEED },
  );
  expect(covered).toBeGreaterThan(100);
});

it.each<[string, LabelSelector, LabelSelector]>([
  ['{}', { matchLabels: {}, matchExpressions: [] }, { matchLabels: { app: 'x' }, matchExpressions: [] }],
  ['itself', { matchLabels: { app: 'x' }, matchExpressions: [] }, { matchLabels: { app: 'x' }, matchExpressions: [] }],
  [
    'one of several values',
    { matchLabels: {}, matchExpressions: [{ key: 'app', operator: 'In', values: ['x', 'y'] }] },
    { matchLabels: { app: 'x', tier: 'y' }, matchExpressions: [] },
  ],
  [
    'another value than the one left out',
    { matchLabels: {}, matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['y'] }] },
    { matchLabels: { app: 'x' }, matchExpressions: [] },
  ],
])('%s is known to cover', (_, wide, narrow) => {
  expect(selectorCovers(wide, narrow)).toBe(true);
});
