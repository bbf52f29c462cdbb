import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PolicyFlowCount } from '../../src/flows/policy-flow-counter.ts';
import { BoundedPolicyFlows } from '../../src/telemetry/policy-flows.ts';

const flows = (name: string, allowed: number, denied = 0, wouldBeDenied = 0): PolicyFlowCount => ({
  ...{ namespace: 'shop', name },
  ...{ allowed, denied, wouldBeDenied },
});
const other = (allowed: number, denied = 0, wouldBeDenied = 0): PolicyFlowCount => ({
  ...{ namespace: '', name: 'other' },
  ...{ allowed, denied, wouldBeDenied },
});

describe('flows by policy', () => {
  it('have a series for each policy with flows', () => {
    const bounded = new BoundedPolicyFlows(3);
    expect(bounded.update([flows('a', 1, 2), flows('idle', 0)])).toEqual([flows('a', 1, 2), other(0)]);
  });

  it('end the series that has not grown for the longest time when there are too many', () => {
    const bounded = new BoundedPolicyFlows(2);
    bounded.update([flows('a', 5), flows('b', 1)]);
    bounded.update([flows('a', 6), flows('b', 1)]);
    expect(bounded.update([flows('a', 6), flows('b', 1), flows('c', 2)])).toEqual([
      flows('a', 6),
      flows('c', 2),
      other(1),
    ]);
  });

  it('do not end a series that has just grown', () => {
    const bounded = new BoundedPolicyFlows(1);
    expect(bounded.update([flows('a', 1), flows('b', 4)])).toEqual([flows('a', 1), other(4)]);
  });

  it('restart a series without the flows that `other` has counted for it', () => {
    const bounded = new BoundedPolicyFlows(1);
    bounded.update([flows('a', 5)]);
    bounded.update([flows('a', 5), flows('b', 1)]);
    expect(bounded.update([flows('a', 7), flows('b', 1)])).toEqual([flows('a', 2), other(6)]);
  });

  it('keep the count of a deleted policy, and restart at 0 when it comes back', () => {
    const bounded = new BoundedPolicyFlows(2);
    bounded.update([flows('a', 5)]);
    expect(bounded.update([])).toEqual([other(5)]);
    expect(bounded.update([flows('a', 1)])).toEqual([flows('a', 1), other(5)]);
  });

  it('take a smaller count for a restarted one', () => {
    const bounded = new BoundedPolicyFlows(2);
    bounded.update([flows('a', 5)]);
    expect(bounded.update([flows('a', 2)])).toEqual([flows('a', 7), other(0)]);
  });

  it('never lose a flow, count one twice, decrease, or grow in number', () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const round = fc.record({
      grow: fc.dictionary(fc.constantFrom(...names), fc.nat(3)),
      remove: fc.subarray(names, { maxLength: 2 }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3 }), fc.array(round, { maxLength: 20 }), (cap, rounds) => {
        const bounded = new BoundedPolicyFlows(cap);
        const counts = new Map<string, number>();
        let all = 0;
        let before = new Map<string, number>();
        for (const { grow, remove } of rounds) {
          for (const name of remove) counts.delete(name);
          for (const [name, by] of Object.entries(grow)) {
            counts.set(name, (counts.get(name) ?? 0) + by);
            all += by;
          }
          // A policy that was deleted and came back with the same count between two scrapes looks
          // like one that stayed.
          const lost = [...remove].filter((name) => counts.has(name));
          if (lost.length > 0)
            bounded.update([...counts].filter(([name]) => !lost.includes(name)).map(([name, n]) => flows(name, n)));
          const series = bounded.update([...counts].map(([name, count]) => flows(name, count)));
          expect(series.length).toBeLessThanOrEqual(cap + 1);
          expect(series.reduce((sum, { allowed }) => sum + allowed, 0)).toBe(all);
          const now = new Map(series.map(({ name, allowed }) => [name, allowed]));
          expect(now.get('other')).toBeGreaterThanOrEqual(before.get('other') ?? 0);
          for (const name of before.keys()) {
            if (lost.length === 0 && name !== 'other' && now.has(name)) {
              expect(now.get(name)).toBeGreaterThanOrEqual(before.get(name) as number);
            }
          }
          before = now;
        }
      }),
    );
  });
});
