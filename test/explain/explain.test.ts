import { describe, expect, test } from 'vitest';
import { Explainer } from '../../src/explain/explain.ts';
import type { Locate } from '../../src/explain/policy-places.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { service } from '../lab/cluster.ts';
import { allow, matching, namespace, pod, set, tcp } from '../policy/records.ts';
import { ask, explained, policyFor, snapshotWith } from './cluster.ts';
import { onRandomClusters, randomFlow } from './random-flows.ts';

const FLOW = ['app1/frontend-1', 'app1/backend-1', '5678'] as const;
const FRONTENDS = { podSelector: matching({ role: 'frontend' }) };
const locate: Locate = (policy, field) => ({
  file: `${policy}.yaml`,
  line: field.length === 0 ? 1 : 10 + Number(field[2]),
});

test('each direction is explained from the records as the table judges it, on random clusters', () => {
  onRandomClusters(60, (snapshot, pick) => {
    const explainer = new Explainer({ snapshot });
    for (let i = 0; i < 60; i++) {
      const { from, to, protocol, port } = randomFlow(snapshot, pick);
      const explanation = explainer.explain(from, to, protocol, port);
      expect(JSON.parse(JSON.stringify(explanation))).toEqual(explanation);
      for (const side of Object.values(explanation.sides)) {
        const { verdict, isolated, isolatedBy, allowedBy } = side;
        const isFree = explanation.reason === 'same-pod' || !isolated;
        expect({ explanation, isAllowed: isFree || allowedBy.length > 0 }).toMatchObject({
          isAllowed: verdict === 'allow',
        });
        expect(verdict).toBe(explanation[side.direction]);
        const isolating = isolatedBy.map(({ policy }) => policy);
        expect(isolating.length > 0).toBe(isolated);
        // A near miss never allows the flow.
        for (const { policy, differences } of side.nearMisses) {
          expect(differences).not.toEqual([]);
          if (!isolating.includes(policy)) expect(['not-selected', 'policy-types']).toContain(differences[0]);
        }
      }
    }
  });
});

describe('an explanation', () => {
  test('says for each direction where it is enforced, what isolates and which rule allows, with places', () => {
    const deny = policyFor('backend', 'deny', { ingress: [] });
    const rules = policyFor('backend', 'backend', { ingress: [allow([], [tcp(1)]), allow([FRONTENDS], [tcp('api')])] });
    const { sides, verdict, reason } = explained([deny, rules], FLOW, { locate });
    expect({ verdict, reason }).toEqual({ verdict: 'allow', reason: 'allowed-by-policy' });
    expect(sides.egress).toEqual({
      direction: 'egress',
      verdict: 'allow',
      node: 'node-1',
      summary: 'no policy selects app1/frontend-1 for egress',
      isolated: false,
      isolatedBy: [],
      allowedBy: [],
      nearMisses: [],
    });
    expect(sides.ingress).toEqual({
      direction: 'ingress',
      verdict: 'allow',
      node: 'node-2',
      summary: 'app1/backend-1 is isolated, and a rule allows it',
      isolated: true,
      isolatedBy: [
        { policy: 'app1/backend', file: 'app1/backend.yaml', line: 1 },
        { policy: 'app1/deny', file: 'app1/deny.yaml', line: 1 },
      ],
      allowedBy: [{ policy: 'app1/backend', rule: 2, field: 'spec.ingress[1]', file: 'app1/backend.yaml', line: 11 }],
      nearMisses: [],
    });
  });

  test('has a suggestion for both directions if both deny', () => {
    const both = [policyFor('frontend', 'a', { egress: [] }), policyFor('backend', 'b', { ingress: [] })];
    const { suggestion, egress, ingress } = explained(both, FLOW);
    expect({ egress, ingress }).toEqual({ egress: 'deny', ingress: 'deny' });
    expect(suggestion?.yaml.split('---\n')).toHaveLength(2);
    expect(explained(both.slice(1), FLOW).suggestion?.yaml.split('---\n')).toHaveLength(1);
    expect(explained([], FLOW).suggestion).toBeUndefined();
  });

  test.each([
    [['app1/backend-1', 'app1/backend-1', '1'], 'same-pod', 'a pod always reaches itself'],
    [['app1/backend-1', '10.9.0.2', '1'], 'local-node', 'a pod and the node that it runs on always reach each other'],
  ] as const)('of an always allowed flow gives the reason: %j', (flow, reason, summary) => {
    const isolated = policyFor('backend', 'deny', { ingress: [], egress: [] });
    const host = pod('app1/host-2', '10.9.0.2', {}, { nodeName: 'node-2', hostNetwork: true });
    const { ways } = ask([], flow, { snapshot: snapshotWith([isolated], [host]) });
    expect(ways).toMatchObject([{ reason, verdict: 'allow', sides: { egress: { summary }, ingress: { summary } } }]);
    expect(ways[0]?.notes).not.toContain('Replies pass by connection tracking and need no rule of their own.');
  });

  test('says that policies do not apply to the ends', () => {
    const { sides } = explained([], ['app1/host', '203.0.113.9', '53/udp']);
    expect(sides.egress.summary).toBe("app1/host uses the node's network, to which policies do not apply");
    expect(sides.ingress.summary).toBe('203.0.113.9 is not a pod of the cluster: no policy governs what it receives');
    expect(sides.egress).not.toHaveProperty('node');
  });

  test('says that replies need no rule if the other direction is isolated', () => {
    const replies = 'Replies pass by connection tracking and need no rule of their own.';
    expect(explained([policyFor('backend', 'x', { egress: [] })], FLOW).notes).toEqual([replies]);
    expect(explained([policyFor('backend', 'x', { ingress: [allow([])] })], FLOW).notes).toEqual([]);
    expect(explained([policyFor('backend', 'x', { ingress: [], egress: [] })], FLOW).notes).toEqual([]);
  });

  describe('of a pod that is isolated for egress', () => {
    const dns = pod('kube-system/coredns', '10.0.9.9', { 'k8s-app': 'kube-dns' });
    const toBackend = allow([{ podSelector: matching({ role: 'backend' }) }]);
    const toDns = allow([{ namespaceSelector: matching() }], [{ protocol: 'UDP', port: 53 }]);
    const notes = (rules: Parameters<typeof policyFor>[2], more: ReturnType<typeof pod>[] = [dns]) => {
      const snapshot = snapshotWith([policyFor('frontend', 'frontend', rules)], more);
      return ask([], FLOW, {
        snapshot: { ...snapshot, namespaces: [...snapshot.namespaces, namespace('kube-system')] },
      }).ways[0]?.notes;
    };

    test('says that it may not ask the name server, whether or not the flow itself is allowed', () => {
      const note =
        'app1/frontend-1 is isolated for egress and may not query the name server (kube-system/coredns) on port 53/udp: it cannot resolve names.';
      expect(notes({ egress: [toBackend] })).toEqual([note]);
      expect(notes({ egress: [] })).toEqual([note]);
      expect(notes({ egress: [toBackend, toDns] })).toEqual([]);
      expect(notes({ ingress: [] })).toEqual(['Replies pass by connection tracking and need no rule of their own.']);
    });

    test('checks the port that the name server listens on', () => {
      const elsewhere = { ...dns, ports: [{ name: 'dns', port: 5353, protocol: 'UDP' as const }] };
      expect(notes({ egress: [toBackend, toDns] }, [elsewhere])?.[0]).toContain('on port 5353/udp');
      const translated = allow([{ namespaceSelector: matching() }], [{ protocol: 'UDP', port: 5353 }]);
      expect(notes({ egress: [toBackend, translated] }, [elsewhere])).toEqual([]);
    });

    test('accepts any rule for port 53 if no name server is known', () => {
      expect(notes({ egress: [toBackend] }, [])).toEqual([]);
      expect(notes({ egress: [allow([], [tcp(5678)])] }, [])).toEqual([
        'app1/frontend-1 is isolated for egress and may not query a name server on port 53/udp: it cannot resolve names.',
      ]);
      expect(notes({ egress: [allow([], [tcp(5678)]), toDns] }, [])).toEqual([]);
    });
  });

  test('has the verdict of the table in force, and says if that is older than the records', () => {
    const node = { name: 'node-2', addresses: [] };
    const compiler = new PolicyCompiler(node.name);
    const snapshot = snapshotWith([]);
    compiler.apply(set(...snapshot.namespaces, ...snapshot.pods, policyFor('backend', 'old', { ingress: [] })));
    const { table } = compiler.compile();
    const note = 'The node still enforces the state before the latest change, which is not in force yet.';
    const { verdict, notes } = explained([], FLOW, { snapshot, inForce: { node: 'node-2', table } });
    expect({ verdict, notes }).toEqual({ verdict: 'deny', notes: [note] });
    expect(explained([], FLOW, { snapshot, inForce: { node: 'node-3', table } })).toMatchObject({
      verdict: 'allow',
      notes: [],
    });
  });
});

describe('an answer', () => {
  const backends = [
    pod('app1/backend-2', '10.0.0.12', { role: 'backend', 'pod-template-hash': 'x' }, { nodeName: 'node-1' }),
    pod('app1/backend-3', '10.0.0.13', { role: 'backend', canary: 'yes' }, { nodeName: 'node-1' }),
  ];
  const services = [service('app1/backend', ['10.96.0.1'], { role: 'backend' }, 'TCP 80 5678')];

  test('about a Service explains every backend at its own port, and identical ones once', () => {
    const canary = policyFor('x', 'canary', { ingress: [] }, { podSelector: matching({ canary: 'yes' }) });
    const answer = ask([], ['app1/frontend-1', 'app1/backend', '80'], {
      snapshot: snapshotWith([canary], backends),
      services,
    });
    expect(answer).toMatchObject({ to: 'service/app1/backend', port: 80, verdict: 'mixed' });
    expect(answer.ways.map(({ to, alike, port, verdict }) => [to.address, alike, port, verdict])).toEqual([
      ['10.0.0.2', ['app1/backend-2'], 5678, 'allow'],
      ['10.0.0.13', [], 5678, 'deny'],
    ]);
  });

  test('about a Service separates pods with other labels if it has a suggestion for them', () => {
    const closed = policyFor('backend', 'closed', { ingress: [] });
    const { ways } = ask([], ['app1/frontend-1', 'app1/backend', '80'], {
      snapshot: snapshotWith([closed], backends),
      services,
    });
    expect(ways.map(({ to, alike }) => [to.address, alike])).toEqual([
      ['10.0.0.2', ['app1/backend-2']],
      ['10.0.0.13', []],
    ]);
  });

  test('about two dual-stack pods explains both families if they differ, otherwise one', () => {
    const pods = [
      pod('app1/a', '10.1.0.1', {}, { addresses: ['10.1.0.1', 'fd00::1'] }),
      pod('app1/b', '10.1.0.2', { role: 'b' }, { addresses: ['10.1.0.2', 'fd00::2'] }),
    ];
    const only4 = policyFor('b', 'only4', { ingress: [allow([{ ipBlock: { cidr: '0.0.0.0/0', except: [] } }])] });
    const flow = ['app1/a', 'app1/b', '80'] as const;
    const differing = ask([], flow, { snapshot: snapshotWith([only4], pods) });
    expect(differing.verdict).toBe('mixed');
    expect(differing.ways.map(({ to, verdict }) => [to.address, verdict])).toEqual([
      ['10.1.0.2', 'allow'],
      ['fd00::2', 'deny'],
    ]);
    expect(ask([], flow, { snapshot: snapshotWith([], pods) })).toMatchObject({
      verdict: 'allow',
      ways: [{ alike: [] }],
    });
  });
});

test('explain says so when the ipBlocks that would allow a flow exceed the common budget', () => {
  const holes = (first: number) =>
    Array.from({ length: 300 }, (_, i) =>
      allow(
        [{ ipBlock: { cidr: '20.0.0.0/8', except: [`20.${first}.${i >> 8}.${i & 255}/32`] } }],
        [tcp(600 * first + 2 * i + 1)],
      ),
    );
  const policies = Array.from({ length: 6 }, (_, i) => policyFor('backend', `holes-${i}`, { ingress: holes(i) }));
  const flow = ['20.0.0.8', 'app1/backend-1', '1'] as const;
  expect(explained(policies.slice(0, 1), flow)).toMatchObject({ verdict: 'allow' });
  const { verdict, notes } = explained(policies, flow);
  expect(verdict).toBe('deny');
  expect(notes).toEqual([
    expect.stringMatching(
      /^Policy app1\/holes-0: its ipBlocks, together with those of other policies that select some/,
    ),
  ]);
});
