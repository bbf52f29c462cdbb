/** Policies that need too much of the table. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LabelSelector, PodRecord, PolicyRecord } from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { withRefused } from '../../src/policy/refused-policies.ts';
import { evaluate } from '../reference/evaluator.ts';
import { ClusterModel, changesOf } from './cluster-model.ts';
import { judgeSides } from './judge-sides.ts';
import { ADDRESSES, grownHistory } from './random-cluster.ts';
import { allow, ingressPolicy, matching, NODE, namespace, pod, remove, set, tcp } from './records.ts';

const TOO_MANY_BLOCKS = {
  policy: 'default/holes',
  reason: 'its ipBlocks ask for more than 262,144 words of the rule table',
  refuses: 'all',
};
const TOO_MANY_MATCHES = {
  policy: 'default/others',
  reason:
    'its selectors, with what they can match and the ports that they open, ask for more than 1,048,576 words of the rule table',
  refuses: 'all',
};

/**
 * Returns a policy of `count` rules, each for 20.0.0.0/8 except one address, each at a port of its
 * own.
 */
function holes(count: number, name = 'holes'): PolicyRecord {
  return ingressPolicy(
    name,
    Array.from({ length: count }, (_, i) =>
      allow([{ ipBlock: { cidr: '20.0.0.0/8', except: [`20.${i >> 8}.${i & 255}.7/32`] } }], [tcp(2 * i + 1)]),
    ),
  );
}

function butFor(value: string): LabelSelector {
  return { matchLabels: {}, matchExpressions: [{ key: 'v', operator: 'NotIn', values: [value] }] };
}

/** Returns a policy of `count` rules, each for all pods except those with one label. */
function others(count: number, more: Partial<PolicyRecord> = {}, first = 0): PolicyRecord {
  const rules = Array.from({ length: count }, (_, i) =>
    allow([{ podSelector: butFor(`v${first + i}`) }], [tcp(1 + 2 * i)]),
  );
  return ingressPolicy('others', rules, more);
}

function pods(count: number): PodRecord[] {
  return Array.from({ length: count }, (_, i) =>
    pod(`p${i}`, `10.0.${i >> 8}.${i & 255}`, { v: `v${i}` }, { nodeName: i === 0 ? NODE.name : 'there' }),
  );
}

function takesIn(compiler: PolicyCompiler, source: string, port: number, destination = '10.0.0.0'): boolean {
  const { table } = compiler.compile();
  return judgeSides(table, { source, destination, protocol: 6, port }).ingress.allowed;
}

describe('a policy that needs too much of the table', () => {
  test('because of ipBlocks isolates its pods and allows nothing, while the pods’ other policies are in force', () => {
    const compiler = new PolicyCompiler(NODE.name);
    const other = ingressPolicy('other', [allow([{ ipBlock: { cidr: '30.0.0.0/8', except: [] } }], [tcp(80)])]);
    compiler.apply(set(namespace('default'), ...pods(1), holes(5000), other));
    expect(takesIn(compiler, '20.0.0.8', 1)).toBe(false);
    expect(takesIn(compiler, '30.0.0.1', 80)).toBe(true);
    expect(compiler.compile().steered).toEqual(['10.0.0.0']);
    expect(compiler.refusedPolicies()).toEqual([TOO_MANY_BLOCKS]);
    expect(compiler.compile().table.buffer.byteLength).toBeLessThan(100_000);

    compiler.apply(set(holes(500)));
    expect(takesIn(compiler, '20.0.0.8', 1)).toBe(true);
    expect(takesIn(compiler, '20.0.0.7', 1)).toBe(false);
    expect(takesIn(compiler, '20.0.0.7', 3)).toBe(true);
    expect(compiler.refusedPolicies()).toEqual([]);
  });

  test('is not one with many blocks or holes for the same few ports', () => {
    const rule = (first: number) =>
      allow(
        Array.from({ length: 4000 }, (_, i) => ({
          ipBlock: { cidr: `${first}.${i >> 8}.${i & 255}.0/24`, except: [`${first}.${i >> 8}.${i & 255}.9/32`] },
        })),
        Array.from({ length: 100 }, (_, port) => tcp(first * 1000 + 2 * port)),
      );
    const compiler = new PolicyCompiler(NODE.name);
    compiler.apply(set(namespace('default'), ...pods(1), ingressPolicy('many', [rule(20), rule(20), rule(21)])));
    expect(takesIn(compiler, '20.1.1.1', 20_000)).toBe(true);
    expect(takesIn(compiler, '20.1.1.9', 20_000)).toBe(false);
    expect(compiler.refusedPolicies()).toEqual([]);
  });

  test('because of selectors is refused when pods come, and is in force again when they go', () => {
    const compiler = new PolicyCompiler(NODE.name);
    const all = pods(2000);
    compiler.apply(set(namespace('default'), others(400), ...all.slice(0, 1000)));
    expect(takesIn(compiler, '10.0.0.1', 5)).toBe(true);
    expect(takesIn(compiler, '10.0.0.2', 5)).toBe(false);
    compiler.apply(set(...all.slice(1000)));
    expect(takesIn(compiler, '10.0.0.1', 5)).toBe(false);
    expect(compiler.refusedPolicies()).toEqual([TOO_MANY_MATCHES]);
    compiler.apply(remove(...all.slice(1000)));
    expect(takesIn(compiler, '10.0.0.1', 5)).toBe(true);
    expect(compiler.refusedPolicies()).toEqual([]);
  });

  test.each(['pods first', 'policies first'])('by selectors costs what it has, not what it asks for: %s', (order) => {
    const compiler = new PolicyCompiler(NODE.name);
    const policy = others(10_000, { podSelector: matching({ v: 'v0' }) });
    const changes = [set(...pods(3000)), set(policy)];
    compiler.apply(set(namespace('default')));
    for (const change of order === 'pods first' ? changes : changes.reverse()) {
      compiler.apply(change);
      compiler.compile();
    }
    expect(compiler.refusedPolicies()).toEqual([TOO_MANY_MATCHES]);
    expect(compiler.compile().steered).toEqual(['10.0.0.0']);
    // One group and nothing else: memory and time for 30 million entries would show here.
    expect(compiler.compile().table.buffer.byteLength).toBeLessThan(500_000);
  });
});

describe('policies that together need too much', () => {
  test('for the same pods, by ipBlocks, open nothing, and selectors still do', () => {
    const compiler = new PolicyCompiler(NODE.name, {
      budget: { matchWords: 1_000_000, blockWords: 1_000_000, endpointBlockWords: 3000 },
    });
    const [own] = pods(1) as [PodRecord];
    const friends = ingressPolicy('friends', [allow([{ podSelector: matching() }])]);
    compiler.apply(set(namespace('default'), own, pod('friend', '10.0.0.9'), friends, holes(40)));
    expect(takesIn(compiler, '20.0.0.8', 1)).toBe(true);
    compiler.apply(set(holes(60, 'more')));
    expect(takesIn(compiler, '20.0.0.8', 1)).toBe(false);
    expect(takesIn(compiler, '10.0.0.9', 1)).toBe(true);
    expect(compiler.refusedPolicies().map(({ policy }) => policy)).toEqual(['default/holes', 'default/more']);
    compiler.apply(remove(holes(60, 'more')));
    expect(takesIn(compiler, '20.0.0.8', 1)).toBe(true);
    expect(compiler.refusedPolicies()).toEqual([]);
  });
});

test('a label that only has to exist is counted exactly, however many values it has', () => {
  const rules = Array.from({ length: 300 }, (_, i) =>
    allow([
      {
        podSelector: {
          matchLabels: {},
          matchExpressions: [{ key: 'v', operator: 'Exists', values: [] }, ...butFor(`v${i}`).matchExpressions],
        },
      },
    ]),
  );
  const records = [namespace('default'), ...pods(1000), ...plain(1500), ingressPolicy('others', rules)];
  const compiler = new PolicyCompiler(NODE.name);
  compiler.apply(set(...records));
  compiler.compile();
  const more = pod('more', '10.9.9.9', { v: 'another' });
  compiler.apply(set(more));
  compiler.compile();
  const anew = new PolicyCompiler(NODE.name);
  anew.apply(set(...records, more));
  anew.compile();
  expect(compiler.refusedPolicies()).toEqual(anew.refusedPolicies());
});

/** Returns pods without that label. */
function plain(count: number): PodRecord[] {
  return Array.from({ length: count }, (_, i) => pod(`plain${i}`, `10.8.${i >> 8}.${i & 255}`, { other: `o${i}` }));
}

test('the refused policies depend only on the records, and all others are judged as usual', () => {
  const budget = { matchWords: 6, blockWords: 20, endpointBlockWords: 1_000_000 };
  let refusals = 0;
  fc.assert(
    fc.property(grownHistory, fc.nat(), (batches, seed) => {
      const model = new ClusterModel();
      const compiler = new PolicyCompiler(NODE.name, { budget });
      for (const batch of batches) {
        model.apply(batch);
        compiler.apply(batch);
        compiler.compile();
      }
      const snapshot = model.snapshot();
      const anew = new PolicyCompiler(NODE.name, { budget });
      anew.apply(shuffled(changesOf(snapshot), seed));
      const { table } = compiler.compile();
      anew.compile();
      const refused = compiler.refusedPolicies();
      expect(refused).toEqual(anew.refusedPolicies());
      refusals += refused.length;
      const closed = withRefused(snapshot, refused);
      for (const { addresses, nodeName, hostNetwork } of closed.pods) {
        if (nodeName !== NODE.name || hostNetwork) continue;
        for (const destination of addresses) {
          for (const source of ADDRESSES) {
            if (source.includes(':') !== destination.includes(':')) continue;
            const flow = { source, destination, protocol: 6, port: 80 };
            expect({ flow, ...judgeSides(table, flow) }).toEqual({ flow, ...evaluate(closed, flow, NODE.name) });
          }
        }
      }
    }),
    { numRuns: 150, ...(process.env.FC_SEED !== undefined && { seed: Number(process.env.FC_SEED) }) },
  );
  expect(refusals).toBeGreaterThan(50);
});

/** Fisher–Yates shuffle with a linear congruential generator. */
function shuffled(changes: ClusterChange[], seed: number): ClusterChange[] {
  let state = seed;
  for (let i = changes.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const j = state % (i + 1);
    [changes[i], changes[j]] = [changes[j] as ClusterChange, changes[i] as ClusterChange];
  }
  return changes;
}
