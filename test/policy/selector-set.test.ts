import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LabelSelector, SelectorRequirement } from '../../src/cluster/records.ts';
import { matchesSelector } from '../../src/cluster/selector.ts';
import { SelectorSet } from '../../src/policy/selector-set.ts';

// Keys that every object inherits: labels may have them.
const key = fc.constantFrom('app', 'tier', 'constructor', 'toString');
const value = fc.constantFrom('x', 'y', '');
const labels = fc.dictionary(key, value, { noNullPrototype: true });
const requirement: fc.Arbitrary<SelectorRequirement> = fc.record({
  key,
  operator: fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist'),
  values: fc.array(value, { minLength: 1, maxLength: 3 }),
});
const selector: fc.Arbitrary<LabelSelector> = fc.record({
  matchLabels: fc.dictionary(key, value, { maxKeys: 2, noNullPrototype: true }),
  matchExpressions: fc.array(requirement, { maxLength: 2 }),
});

test('a SelectorSet finds everything that matches, few or many, each once, and nothing deleted', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(selector, fc.boolean()), { maxLength: 30 }), labels, (selectors, labels) => {
      const set = new SelectorSet<{ selector: LabelSelector }>((item) => item.selector);
      const items = selectors.map(([selector, stays]) => ({ selector, stays }));
      for (const item of items) set.add(item);
      for (const item of items) if (!item.stays) set.delete(item);
      const found: { selector: LabelSelector }[] = [];
      set.match(labels, found);
      const expected = items.filter(({ selector, stays }) => stays && matchesSelector(selector, labels));
      expect(found).toHaveLength(expected.length);
      expect(new Set(found)).toEqual(new Set(expected));
      expect(set.size).toBe(items.filter(({ stays }) => stays).length);
    }),
    { numRuns: 500 },
  );
});
