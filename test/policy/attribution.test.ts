import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Direction } from '../../src/cluster/records.ts';
import { recordKey } from '../../src/cluster/records.ts';
import { Attribution } from '../../src/policy/attribution.ts';
import { evaluate } from '../reference/evaluator.ts';
import { ClusterModel } from './cluster-model.ts';
import { ADDRESSES, grownHistory, PACKETS } from './random-cluster.ts';

const DIRECTIONS: readonly Direction[] = ['egress', 'ingress'];
const SEED = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };

// A policy allows a flow exactly if it would allow it as the only policy: the naive evaluator is
// asked policy by policy.
test('every flow is attributed to the policies that isolate, and to those of them that allow it', () => {
  let flows = 0;
  fc.assert(
    fc.property(grownHistory, fc.infiniteStream(fc.nat()), (batches, numbers) => {
      const model = new ClusterModel();
      const attribution = new Attribution();
      for (const batch of batches) {
        attribution.apply(batch);
        model.apply(batch);
      }
      const snapshot = model.snapshot();
      const pick = <T>(list: readonly T[]) => list[(numbers.next().value as number) % list.length] as T;
      for (let i = 0; i < 100; i++) {
        const [protocol, port] = pick(PACKETS);
        const flow = { source: pick(ADDRESSES), destination: pick(ADDRESSES), protocol, port };
        for (const direction of DIRECTIONS) {
          const own = direction === 'egress' ? flow.source : flow.destination;
          const alone = snapshot.policies.map((policy) => ({
            key: recordKey(policy),
            side: evaluate({ ...snapshot, policies: [policy] }, flow)[direction],
          }));
          const isolating = alone.filter(({ side }) => side.isolated);
          expect(attribution.isolating(own, direction).map(recordKey).sort()).toEqual(
            isolating.map(({ key }) => key).sort(),
          );
          const allowing = isolating.filter(({ side }) => side.allowed).map(({ key }) => key);
          expect(attribution.allowing(flow, direction).map(recordKey).sort()).toEqual(allowing.sort());
          flows += allowing.length;
        }
      }
    }),
    { numRuns: 300, ...SEED },
  );
  expect(flows).toBeGreaterThan(500);
});
