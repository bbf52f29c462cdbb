/**
 * The compiled table against the naive evaluator, on random clusters and the random changes that
 * lead to them.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type PodRecord, recordKey } from '../../src/cluster/records.ts';
import type { ClusterChange, ClusterSnapshot } from '../../src/cluster/store.ts';
import { type CompiledPolicies, PolicyCompiler } from '../../src/policy/compiler.ts';
import { evaluate, type Flow, ownersOf } from '../reference/evaluator.ts';
import { ClusterModel, changesOf } from './cluster-model.ts';
import { judgeSides } from './judge-sides.ts';
import { ADDRESSES, grownHistory, history, NODE, PACKETS } from './random-cluster.ts';

/**
 * Packets tried between an endpoint and a peer. The next pair continues with the next packets of
 * the list.
 */
const PACKETS_A_PAIR = 5;
let judged = 0;

/** Flows between every endpoint of the node and every address, in both directions. */
function* flowsOf(snapshot: ClusterSnapshot): Generator<Flow> {
  let next = 0;
  for (const endpoint of endpointsOf(snapshot).flatMap(({ addresses }) => addresses)) {
    for (const peer of ADDRESSES) {
      if (peer.includes(':') !== endpoint.includes(':')) continue;
      for (let i = 0; i < PACKETS_A_PAIR; i++) {
        const [protocol, port] = PACKETS[next++ % PACKETS.length] as (typeof PACKETS)[number];
        yield { source: endpoint, destination: peer, protocol, port };
        yield { source: peer, destination: endpoint, protocol, port };
      }
    }
  }
}

function endpointsOf({ pods }: ClusterSnapshot): PodRecord[] {
  return pods.filter(({ hostNetwork, nodeName }) => !hostNetwork && nodeName === NODE.name);
}

/** Checks that the table judges as the evaluator does. */
function expectSameVerdicts(compiled: CompiledPolicies, snapshot: ClusterSnapshot): void {
  for (const flow of flowsOf(snapshot)) {
    judged++;
    const judgedAs = judgeSides(compiled.table, flow);
    const expected = evaluate(snapshot, flow, NODE.name);
    // An `expect` for every flow would take most of the time.
    if (!isDeepStrictEqual(judgedAs, expected)) expect({ flow, ...judgedAs }).toEqual({ flow, ...expected });
  }
}

/** Checks that the names of pods and policies are those of the records. */
function expectSameNames(compiled: CompiledPolicies, snapshot: ClusterSnapshot): void {
  const isolating = (address: string, direction: 'egress' | 'ingress') => {
    return snapshot.policies
      .filter((policy) => {
        const only = { ...snapshot, policies: [policy] };
        const flow = { source: address, destination: address, protocol: 6, port: 1 };
        return evaluate(only, flow, NODE.name)[direction].isolated;
      })
      .map(recordKey)
      .sort();
  };
  for (const address of ADDRESSES) {
    expect(compiled.podsAt(address)).toEqual(ownersOf(snapshot, address).map(recordKey).sort());
    expect(compiled.isolatingPolicies(address, 'egress')).toEqual(isolating(address, 'egress'));
    expect(compiled.isolatingPolicies(address, 'ingress')).toEqual(isolating(address, 'ingress'));
    const isolated = [...isolating(address, 'egress'), ...isolating(address, 'ingress')].length > 0;
    expect(compiled.steered.includes(address)).toBe(isolated);
  }
}

function compiled(changes: readonly ClusterChange[]): CompiledPolicies {
  const compiler = new PolicyCompiler(NODE.name);
  compiler.apply(changes);
  return compiler.compile();
}

// fast-check prints the seed and the path of a failure; FC_SEED runs it again.
const SEED = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };

describe('the compiled table judges as the naive evaluator does', () => {
  afterAll(() => console.log(`differential: ${judged} flows judged alike`));

  test('after each batch of random changes', () => {
    fc.assert(
      fc.property(grownHistory, (batches) => {
        const model = new ClusterModel();
        const compiler = new PolicyCompiler(NODE.name);
        for (const batch of batches) {
          model.apply(batch);
          compiler.apply(batch);
          expectSameVerdicts(compiler.compile(), model.snapshot());
        }
      }),
      { numRuns: 150, ...SEED },
    );
  });

  test.each([
    ['nothing is kept that is out of use', -1],
    ['one selector is kept that is out of use', 1],
  ])('even if %s, and memory is recycled', (_, peers) => {
    fc.assert(
      fc.property(grownHistory, (batches) => {
        const model = new ClusterModel();
        const compiler = new PolicyCompiler(NODE.name, { slack: { peers, portSets: Number.NEGATIVE_INFINITY } });
        for (const batch of batches) {
          model.apply(batch);
          compiler.apply(batch);
          const compiled = compiler.compile();
          expectSameVerdicts(compiled, model.snapshot());
          compiler.recycle(compiled.table);
        }
      }),
      { numRuns: 150, ...SEED },
    );
  });

  test('and so does a table compiled from scratch from the result of the changes', () => {
    fc.assert(
      fc.property(grownHistory, (batches) => {
        const model = new ClusterModel();
        for (const batch of batches) model.apply(batch);
        const snapshot = model.snapshot();
        expectSameVerdicts(compiled(changesOf(snapshot)), snapshot);
      }),
      { numRuns: 150, ...SEED },
    );
  });

  test('and names the pods and the policies that the records name', () => {
    fc.assert(
      fc.property(history, (batches) => {
        const model = new ClusterModel();
        const compiler = new PolicyCompiler(NODE.name);
        for (const batch of batches) {
          model.apply(batch);
          compiler.apply(batch);
          expectSameNames(compiler.compile(), model.snapshot());
        }
      }),
      { numRuns: 100, ...SEED },
    );
  });

  test('and a table stays unchanged while later ones are compiled', () => {
    fc.assert(
      fc.property(grownHistory, (batches) => {
        const model = new ClusterModel();
        const compiler = new PolicyCompiler(NODE.name);
        const tables = batches.map((batch) => {
          model.apply(batch);
          compiler.apply(batch);
          return { compiled: compiler.compile(), snapshot: model.snapshot() };
        });
        const first = tables[0] as (typeof tables)[0];
        expectSameVerdicts(first.compiled, first.snapshot);
        expectSameNames(first.compiled, first.snapshot);
      }),
      { numRuns: 20, ...SEED },
    );
  });
});
