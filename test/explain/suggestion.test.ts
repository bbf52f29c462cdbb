import { afterAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { projectPolicy } from '../../src/cluster/projection.ts';
import type { Labels, PolicyRecord } from '../../src/cluster/records.ts';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import { ClusterJudge } from '../../src/explain/cluster-judge.ts';
import { Explainer } from '../../src/explain/explain.ts';
import type { FlowEnd } from '../../src/explain/flow-end.ts';
import { NO_PORT } from '../../src/explain/judgement.ts';
import { ingressPolicy, matching, namespace, pod } from '../policy/records.ts';
import { endAt, onRandomClusters, podAt, randomFlow } from './random-flows.ts';

/** Returns the policies of a suggestion, as the API server would read them. */
function policiesOf(yaml: string): readonly PolicyRecord[] {
  return parseAllDocuments(yaml).map((document) => {
    const { record, problems } = projectPolicy(document.toJS());
    expect(problems).toEqual([]);
    return record;
  });
}

function withPolicies(snapshot: ClusterSnapshot, policies: readonly PolicyRecord[]): ClusterSnapshot {
  return { ...snapshot, policies: [...snapshot.policies, ...policies] };
}

/** What a policy can see of an end: pods with the same labels in one namespace look the same. */
function kindOf({ pods }: ClusterSnapshot, end: FlowEnd): string {
  const found = podAt(pods, end.address);
  return found === undefined ? end.address : JSON.stringify([found.namespace, Object.entries(found.labels).sort()]);
}

describe('a suggestion', () => {
  let tried = 0;
  afterAll(() => console.log(`suggestions: ${tried} tried`));

  test('allows the denied flow, closes nothing, and opens nothing that a policy could keep closed', () => {
    onRandomClusters(60, (snapshot, pick) => {
      const explainer = new Explainer({ snapshot });
      const before = new ClusterJudge(snapshot);
      for (let i = 0; i < 40; i++) {
        const { from, to, protocol, port } = randomFlow(snapshot, pick);
        const { verdict, suggestion } = explainer.explain(from, to, protocol, port);
        expect(suggestion === undefined).toBe(verdict === 'allow');
        if (suggestion === undefined) continue;
        tried++;
        const policies = policiesOf(suggestion.yaml);
        const names = new Set([...snapshot.policies, ...policies].map(({ namespace, name }) => `${namespace}/${name}`));
        expect(names.size).toBe(snapshot.policies.length + policies.length);
        const after = new ClusterJudge(withPolicies(snapshot, policies));
        expect({ policies, ...after.judge(from, to, protocol, port) }).toMatchObject({ verdict: 'allow' });
        for (let j = 0; j < 150; j++) {
          const other = randomFlow(snapshot, pick);
          const tried = j % 2 === 0 ? other : { ...other, protocol, port };
          const was = before.judge(tried.from, tried.to, tried.protocol, tried.port);
          const is = after.judge(tried.from, tried.to, tried.protocol, tried.port);
          if (was.egress === is.egress && was.ingress === is.ingress) continue;
          const closed = ([was.egress, was.ingress] as const).some(
            (verdict, side) => verdict === 'allow' && [is.egress, is.ingress][side] === 'deny',
          );
          const ends = (flow: typeof tried) => ({ from: kindOf(snapshot, flow.from), to: kindOf(snapshot, flow.to) });
          const meant = { ...ends({ from, to, protocol, port }), ...(port === NO_PORT ? {} : { protocol, port }) };
          expect({ policies, closed, ...tried, ...ends(tried) }).toMatchObject({ ...meant, closed: false });
        }
      }
    });
    expect(tried).toBeGreaterThan(50);
  });

  const denied = ingressPolicy('none', []);
  const suggest = (labels: readonly Labels[], port = 80, source = '10.0.0.9') => {
    const pods = labels.map((each, i) => pod(`p${i}`, `10.0.0.${i + 1}`, each));
    const snapshot = { namespaces: [namespace('default')], pods, policies: [denied] };
    const protocol = port === NO_PORT ? 'ICMP' : 'TCP';
    const { suggestion } = new Explainer({ snapshot }).explain(
      endAt(snapshot, source),
      endAt(snapshot, '10.0.0.1'),
      protocol,
      port,
    );
    const [policy] = policiesOf(suggestion?.yaml ?? '');
    return { policy, notes: suggestion?.notes };
  };

  test('selects a workload by its name, not by its version or generated labels', () => {
    const own = { 'helm.sh/chart': 'shop-1.2.3', 'pod-template-hash': 'abc', tier: 'back', app: 'shop' };
    expect(suggest([own, { app: 'other' }]).policy?.podSelector).toEqual(matching({ app: 'shop' }));
    expect(suggest([own, { app: 'shop' }]).policy?.podSelector).toEqual(matching({ app: 'shop', tier: 'back' }));
  });

  test('separates a workload from one with additional labels by the keys that it lacks', () => {
    expect(suggest([{ app: 'shop' }, { app: 'shop', canary: 'yes' }]).policy?.podSelector).toEqual({
      matchLabels: { app: 'shop' },
      matchExpressions: [{ key: 'canary', operator: 'DoesNotExist', values: [] }],
    });
  });

  test('names the other pods that it covers', () => {
    const own = (hash: string) => ({ app: 'shop', 'pod-template-hash': hash });
    expect(suggest([own('a'), own('b'), own('c')]).notes).toEqual([
      'It also selects the pods with the same labels: default/p1, default/p2.',
    ]);
    expect(suggest([own('a')]).notes).toEqual([]);
  });

  test('covers an address with a block of that address alone', () => {
    const { policy } = suggest([{ app: 'shop' }]);
    expect(policy?.ingress).toEqual([
      { peers: [{ ipBlock: { cidr: '10.0.0.9/32', except: [] } }], ports: [{ protocol: 'TCP', port: 80 }] },
    ]);
  });

  test('for ICMP has a rule without ports, and says so', () => {
    const { policy, notes } = suggest([{ app: 'shop' }], NO_PORT);
    expect(policy?.ingress[0]?.ports).toEqual([]);
    expect(notes).toEqual(['A policy cannot allow ICMP alone: this opens every port and protocol.']);
  });

  test('has an unused name that fits a label', () => {
    const long = { ...pod('x'.repeat(80), '10.0.0.1', { app: 'x' }) };
    const name = `${'x'.repeat(63)}`;
    const taken = ingressPolicy(name, []);
    const snapshot = { namespaces: [namespace('default')], pods: [long], policies: [denied, taken] };
    const { suggestion } = new Explainer({ snapshot }).explain(
      endAt(snapshot, '10.0.0.9'),
      endAt(snapshot, '10.0.0.1'),
      'TCP',
      80,
    );
    expect(policiesOf(suggestion?.yaml ?? '')[0]?.name).toBe(`${'x'.repeat(61)}-2`);
  });
});
