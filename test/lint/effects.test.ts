import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Direction, PolicyRecord } from '../../src/cluster/records.ts';
import { type ClusterSnapshot, ClusterStore } from '../../src/cluster/store.ts';
import { lint } from '../../src/lint/lint.ts';
import { ADDRESSES, grownHistory, PACKETS } from '../policy/random-cluster.ts';
import { namespace as namespaceRecord } from '../policy/records.ts';
import { evaluate } from '../reference/evaluator.ts';
import { app, expectFinding, findingsOf, inNamespace, namespace, policy } from './linted.ts';

const ingress = (...rules: readonly object[]) => policy({ ingress: rules });
const block = (cidr: string, ...except: readonly string[]) => ({ ipBlock: { cidr, except } });
const rule = (peers: readonly object[], ...ports: readonly object[]) => ({ from: peers, ports });

describe('what an audited policy allows', () => {
  const audit = { annotations: { 'podfence.io/mode': 'audit' } };
  const allowing = { podSelector: { matchLabels: { app: 'web' } }, ingress: [{}] };

  it('is reported not to count if an enforced policy isolates the same pods in that direction', async () => {
    const tried = policy(allowing, { name: 'tried', ...audit });
    await expectFinding(
      'audited-allowance',
      /^warning spec\.ingress: does not count: policy shop\/denying, which is enforced,/,
      [tried, policy({}, { name: 'denying' })],
      [tried, policy({ policyTypes: ['Egress'] }, { name: 'denying' })],
    );
    expect(await findingsOf('audited-allowance', [tried, policy({}, { name: 'denying', ...audit })])).toEqual([]);
    const elsewhere = policy({ podSelector: { matchLabels: { app: 'db' } } }, { name: 'denying' });
    expect(await findingsOf('audited-allowance', [tried, elsewhere])).toEqual([]);
    const denying = policy({ ...allowing, ingress: [] }, { name: 'tried', ...audit });
    expect(await findingsOf('audited-allowance', [denying, policy({}, { name: 'denying' })])).toEqual([]);
  });
});

describe('a rule that a wider one shadows', () => {
  it.each<[string, object, object, object]>([
    ['any peer', rule([], { port: 80 }), rule([app('web')], { port: 80 }), rule([app('web')], { port: 81 })],
    ['every pod', rule([{ podSelector: {} }]), rule([app('web')]), rule([block('192.0.2.0/24')])],
    [
      'every namespace',
      rule([{ namespaceSelector: {} }]),
      rule([{ ...inNamespace('a'), ...app('web') }]),
      rule([block('192.0.2.0/24')]),
    ],
    ['a range of ports', rule([], { port: 80, endPort: 90 }), rule([], { port: 85 }), rule([], { port: 91 })],
    ['a wider block', rule([block('10.0.0.0/8')]), rule([block('10.1.0.0/16')]), rule([block('11.0.0.0/16')])],
    [
      'a block with a hole elsewhere',
      rule([block('10.0.0.0/8', '10.2.0.0/16')]),
      rule([block('10.1.0.0/16')]),
      rule([block('10.2.3.0/24')]),
    ],
    [
      'one of several values',
      rule([{ podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['web', 'api'] }] } }]),
      rule([app('web')]),
      rule([app('db')]),
    ],
  ])('is reported beside %s', (_, wide, narrow, other) =>
    expectFinding(
      'shadowed-rule',
      /^warning spec\.ingress\[1\]: spec\.ingress\[0\] allows everything that this rule allows/,
      [ingress(wide, narrow)],
      [ingress(wide, other)],
    ),
  );

  it('is reported once, as the narrower one wherever it is, or the second of two equal ones', async () => {
    expect(await findingsOf('shadowed-rule', [ingress(rule([app('web')]), {})])).toEqual([
      expect.stringMatching(/^warning spec\.ingress\[0\]: spec\.ingress\[1\] allows/),
    ]);
    expect(await findingsOf('shadowed-rule', [ingress(rule([app('web')]), rule([app('web')]))])).toEqual([
      expect.stringMatching(/^warning spec\.ingress\[1\]: spec\.ingress\[0\] allows/),
    ]);
  });

  it('is reported for an entry beside a wider one in the same list', async () => {
    const entries = ingress(rule([app('web'), { podSelector: {} }], { port: 80 }, { port: 8080 }, { port: 80 }));
    expect(await findingsOf('shadowed-rule', [entries])).toEqual([
      expect.stringMatching(/^warning spec\.ingress\[0\]\.from\[0\]: spec\.ingress\[0\]\.from\[1\] matches everything/),
      expect.stringMatching(/^warning spec\.ingress\[0\]\.ports\[2\]: spec\.ingress\[0\]\.ports\[0\] includes all/),
    ]);
  });

  it('is not reported beside a policy in another mode: its removal would change something', async () => {
    const open = (name: string, mode: string) =>
      policy({ ingress: [rule([app('web')])] }, { name, annotations: { 'podfence.io/mode': mode } });
    const found = async (...modes: readonly string[]) =>
      (
        await findingsOf(
          'policy-without-effect',
          modes.map((mode, i) => open(`p${i}`, mode)),
        )
      ).length;
    expect(await found('audit', 'audit')).toBe(1);
    expect(await found('audit', 'enforce')).toBe(0);
  });

  it('is not reported for UDP beside TCP', async () => {
    expect(await findingsOf('shadowed-rule', [ingress(rule([], { port: 53 }, { port: 53, protocol: 'UDP' }))])).toEqual(
      [],
    );
  });

  it('is a hint if another policy opens everything, and otherwise an info', async () => {
    const partly = policy({
      ...app('web'),
      ingress: [rule([app('api')])],
      egress: [{}],
      policyTypes: ['Ingress', 'Egress'],
    });
    const others = (wide: object) => policy({ ingress: [wide] }, { name: 'q' });
    expect(await findingsOf('shadowed-rule', [partly, others({})])).toEqual([
      'hint spec.ingress[0]: spec.ingress[0] of policy shop/q allows everything that this rule allows',
    ]);
    expect(await findingsOf('shadowed-rule', [partly, others(rule([{ podSelector: {} }]))])).toEqual([
      expect.stringMatching(/^info spec\.ingress\[0\]/),
    ]);
    expect(await findingsOf('shadowed-rule', [partly, others(rule([app('db')]))])).toEqual([]);
  });
});

describe('a policy without effect', () => {
  const web = (more: object, name: string) => policy({ ...app('web'), ...more }, { name });

  it('is reported once if another one says the same', () =>
    expectFinding(
      'policy-without-effect',
      /^warning : policy shop\/a selects the same pods and allows everything that this one allows/,
      [web({ ingress: [rule([app('api')])] }, 'a'), web({ ingress: [rule([app('api')])] }, 'b')],
      [web({ ingress: [rule([app('api')])] }, 'a'), web({ ingress: [rule([app('db')])] }, 'b')],
    ));

  it('is a hint if another one selects more pods and allows as much', () =>
    expectFinding(
      'policy-without-effect',
      /^hint : policy shop\/all selects these pods as well/,
      [web({ ingress: [rule([app('api')])] }, 'a'), policy({ ingress: [{}] }, { name: 'all' })],
      [web({ ingress: [rule([app('api')])] }, 'a'), policy({ ingress: [rule([app('db')])] }, { name: 'all' })],
    ));

  it('is not reported for policies that only isolate, unless two are the same', async () => {
    const deny = [policy({}, { name: 'all' }), web({}, 'web')];
    expect(await findingsOf('policy-without-effect', deny)).toEqual([]);
    expect(await findingsOf('policy-without-effect', [...deny, policy({}, { name: 'again' })])).toHaveLength(1);
  });

  it('is only an info if it allows everything to pods that nothing else isolates', async () => {
    const open = web({ ingress: [{}] }, 'open');
    expect(await findingsOf('policy-without-effect', [open])).toEqual([expect.stringMatching(/^info /)]);
    expect(await findingsOf('policy-without-effect', [open, policy({}, { name: 'deny' })])).toEqual([]);
  });
});

describe('rules of a direction that policyTypes leave out', () => {
  it('are reported, because they are ignored', () =>
    expectFinding(
      'ignored-rules',
      /^warning spec\.egress: policyTypes has only Ingress: the egress rules are ignored, and egress stays open \| Add Egress/,
      [policy({ policyTypes: ['Ingress'], egress: [{ to: [app('web')] }] })],
      [policy({ policyTypes: ['Ingress', 'Egress'], egress: [{ to: [app('web')] }] })],
    ));

  it('are reported for ingress too', () =>
    expectFinding(
      'ignored-rules',
      /^warning spec\.ingress: policyTypes has only Egress/,
      [policy({ policyTypes: ['Egress'], ingress: [{}] })],
      [policy({ policyTypes: ['Egress'], ingress: [] })],
    ));
});

describe('a namespace without any policy', () => {
  it('is an info if it has pods', () =>
    expectFinding(
      'namespace-without-policy',
      /^info : namespace shop has no policy/,
      [namespace('shop'), { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'shop' } }],
      [namespace('shop'), { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'shop' } }, policy({})],
    ));
});

// fast-check prints the seed and the path of a failure; FC_SEED runs it again.
const SEED = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };

describe('on random clusters', () => {
  it('removing what has no effect changes no verdict', () => {
    let removed = 0;
    fc.assert(
      fc.property(grownHistory, (batches) => {
        const store = new ClusterStore();
        for (const batch of batches) store.apply(batch);
        const snapshot = withAllNamespaces(store.snapshot());
        for (const { rule, object, field } of lint({ snapshot }).findings) {
          if (!['shadowed-rule', 'policy-without-effect', 'except-without-effect'].includes(rule)) continue;
          const policies = snapshot.policies.flatMap((each) =>
            object === `NetworkPolicy ${each.namespace}/${each.name}` ? without(each, field, snapshot) : [each],
          );
          removed++;
          for (const flow of flows(snapshot)) {
            const [before, after] = [evaluate(snapshot, flow), evaluate({ ...snapshot, policies }, flow)];
            if (before.ingress.allowed !== after.ingress.allowed || before.egress.allowed !== after.egress.allowed) {
              expect({ rule, object, field, flow, ...after }).toEqual({ rule, object, field, flow, ...before });
            }
          }
        }
      }),
      { numRuns: 150, ...SEED },
    );
    expect(removed).toBeGreaterThan(50);
  });
});

/** As loaders and the API server do: adds a Namespace for every object. */
function withAllNamespaces(snapshot: ClusterSnapshot): ClusterSnapshot {
  const known = new Set(snapshot.namespaces.map(({ name }) => name));
  const all = [...snapshot.pods, ...snapshot.policies].map(({ namespace }) => namespace);
  const missing = [...new Set(all)].filter((name) => !known.has(name));
  return { ...snapshot, namespaces: [...snapshot.namespaces, ...missing.map((name) => namespaceRecord(name))] };
}

function* flows({ pods }: ClusterSnapshot) {
  let next = 0;
  for (const own of new Set(pods.flatMap(({ addresses }) => addresses))) {
    for (const peer of ADDRESSES) {
      if (peer.includes(':') !== own.includes(':')) continue;
      const [protocol, port] = PACKETS[next++ % PACKETS.length] as (typeof PACKETS)[number];
      yield { source: own, destination: peer, protocol, port };
      yield { source: peer, destination: own, protocol, port };
    }
  }
}

/** Returns the policy without the part at `field`, or nothing if that is the whole policy. */
function without(policy: PolicyRecord, field: string, { policies }: ClusterSnapshot): readonly PolicyRecord[] {
  expect(policies).toContain(policy);
  const path = [...field.matchAll(/[A-Za-z]+|\d+/g)].map(([step]) => step).slice(1);
  if (path.length === 0) return [];
  const copy = structuredClone(policy);
  const [direction, rule, list, index, , , hole] = path;
  const rules = copy[direction as Direction] as unknown[];
  const entry = rules[Number(rule)] as Record<string, { ipBlock: { except: string[] } }[]>;
  const entries = entry[list === 'ports' ? 'ports' : 'peers'] ?? [];
  if (hole !== undefined) entries[Number(index)]?.ipBlock.except.splice(Number(hole), 1);
  else if (index !== undefined) entries.splice(Number(index), 1);
  else rules.splice(Number(rule), 1);
  return [copy];
}
