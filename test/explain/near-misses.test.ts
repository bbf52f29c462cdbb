import { describe, expect, test } from 'vitest';
import type { PolicyPeer, PolicyPort, PolicyRecord } from '../../src/cluster/records.ts';
import type { Difference } from '../../src/explain/explanation.ts';
import { allow, matching, tcp } from '../policy/records.ts';
import { explained, policyFor, sentences } from './cluster.ts';

const FLOW = ['app1/frontend-1', 'app1/backend-1', '5678/tcp'] as const;
const FRONTENDS: PolicyPeer = { podSelector: matching({ role: 'frontend' }) };

function backend(peers: readonly PolicyPeer[], ports: readonly PolicyPort[] = [tcp(5678)]): PolicyRecord {
  return policyFor('backend', 'backend', { ingress: [allow(peers, ports)] });
}

type Flow = readonly [string, string, string];

describe.each<{
  readonly what: string;
  readonly policy: PolicyRecord;
  readonly flow?: Flow;
  readonly kinds: Difference[];
  readonly sentence: string;
}>([
  {
    what: 'a label of the other pod',
    policy: backend([{ podSelector: matching({ role: 'web' }) }]),
    kinds: ['labels'],
    sentence: 'would allow port 5678 from pods with role=web; frontend-1 has role=frontend',
  },
  {
    what: 'labels that the other pod lacks',
    policy: backend([{ podSelector: matching({ tier: 'web', app: 'x' }) }]),
    kinds: ['labels'],
    sentence: 'would allow port 5678 from pods with tier=web and app=x; frontend-1 has no label tier and no label app',
  },
  {
    what: 'an expression about labels',
    policy: backend([
      {
        podSelector: {
          matchLabels: {},
          matchExpressions: [{ key: 'role', operator: 'NotIn', values: ['frontend', 'x'] }],
        },
      },
    ]),
    kinds: ['labels'],
    sentence: 'would allow port 5678 from pods with role not in (frontend, x); frontend-1 has role=frontend',
  },
  {
    what: 'the port',
    policy: backend([FRONTENDS], [tcp(80), tcp(8000, 8080)]),
    kinds: ['port'],
    sentence: 'would allow port 80 from frontend-1; this is port 5678',
  },
  {
    what: 'the protocol of the same port',
    policy: backend([FRONTENDS], [tcp(80), { protocol: 'UDP', port: 5678 }]),
    kinds: ['protocol'],
    sentence: 'would allow port 5678/udp from frontend-1; this is TCP',
  },
  {
    what: 'a label of the namespace',
    policy: backend([{ namespaceSelector: matching({ team: 'a' }), podSelector: matching({ role: 'frontend' }) }]),
    flow: ['app2/stranger', 'app1/backend-1', '5678'],
    kinds: ['namespace-labels'],
    sentence: 'would allow port 5678 from pods with role=frontend of namespaces with team=a; namespace app2 has team=b',
  },
  {
    what: 'a label that the namespace lacks',
    policy: backend([{ namespaceSelector: matching({ team: 'a' }) }]),
    kinds: ['namespace-labels'],
    sentence: 'would allow port 5678 from any pod of namespaces with team=a; namespace app1 has no label team',
  },
  {
    what: 'the namespace by its name',
    policy: backend([{ namespaceSelector: matching({ 'kubernetes.io/metadata.name': 'app1' }) }]),
    flow: ['app2/stranger', 'app1/backend-1', '5678'],
    kinds: ['namespace-labels'],
    sentence: 'would allow port 5678 from any pod of namespace app1; stranger is in namespace app2',
  },
  {
    what: 'another namespace where the labels match',
    policy: backend([FRONTENDS]),
    flow: ['app2/stranger', 'app1/backend-1', '5678'],
    kinds: ['other-namespace'],
    sentence:
      'would allow port 5678 from pods with role=frontend; stranger is in namespace app2, and without a namespaceSelector only pods of app1 match',
  },
  {
    what: 'an except that holds the address',
    policy: backend([{ ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.128/25', '192.0.2.0/26'] } }]),
    flow: ['192.0.2.200', 'app1/backend-1', '5678'],
    kinds: ['except'],
    sentence:
      'would allow port 5678 from 192.0.2.0/24 except 192.0.2.128/25, 192.0.2.0/26; 192.0.2.200 is in the except 192.0.2.128/25',
  },
  {
    what: 'an address outside of the block',
    policy: backend([{ ipBlock: { cidr: '192.0.2.0/24', except: [] } }]),
    flow: ['192.0.3.7', 'app1/backend-1', '5678'],
    kinds: ['outside-cidr'],
    sentence: 'would allow port 5678 from 192.0.2.0/24; 192.0.3.7 is outside 192.0.2.0/24',
  },
  {
    what: 'a selector where the other end is no pod',
    policy: backend([FRONTENDS]),
    flow: ['192.0.3.7', 'app1/backend-1', '5678'],
    kinds: ['not-a-pod'],
    sentence: 'would allow port 5678 from pods with role=frontend; 192.0.3.7 is not a pod of the cluster',
  },
  {
    what: "a selector where the other pod uses its node's network",
    policy: backend([FRONTENDS]),
    flow: ['app1/host', 'app1/backend-1', '5678'],
    kinds: ['host-network'],
    sentence:
      "would allow port 5678 from pods with role=frontend; host uses its node's network, which no selector matches",
  },
  {
    what: 'a named port that the destination has not',
    policy: backend([FRONTENDS], [tcp('http')]),
    kinds: ['named-port'],
    sentence:
      'would allow port http from frontend-1; backend-1 has no TCP port named http; it names api (5678), metrics (9090) and dns (53/udp)',
  },
  {
    what: 'a named port that has another number',
    policy: backend([FRONTENDS], [tcp('metrics')]),
    kinds: ['named-port'],
    sentence: 'would allow port metrics from frontend-1; port metrics of backend-1 is 9090, and this is port 5678',
  },
  {
    what: 'ICMP where rules have ports',
    policy: backend([FRONTENDS]),
    flow: ['app1/frontend-1', 'app1/backend-1', 'icmp'],
    kinds: ['protocol'],
    sentence: 'would allow port 5678 from frontend-1; ICMP has no ports: only a rule without ports allows it',
  },
  {
    what: 'both the peer and the port',
    policy: backend([{ podSelector: matching({ role: 'web' }) }], [tcp(80)]),
    kinds: ['labels', 'port'],
    sentence: 'would allow port 80 from pods with role=web; frontend-1 has role=frontend; this is port 5678',
  },
])('a rule that differs in $what', ({ policy, flow = FLOW, kinds, sentence }) => {
  test('is a near miss that says so', () => {
    const { ingress } = explained([policy], flow).sides;
    expect(ingress.verdict).toBe('deny');
    expect(ingress.nearMisses).toEqual([
      {
        policy: 'app1/backend',
        rule: 1,
        field: 'spec.ingress[0]',
        differences: kinds,
        sentence: `policy app1/backend rule 1 ${sentence}`,
      },
    ]);
  });
});

describe('near misses', () => {
  const deny = policyFor('backend', 'deny', { ingress: [] });

  test('of egress speak of the destination', () => {
    const policy = policyFor('frontend', 'frontend', {
      egress: [allow([{ podSelector: matching({ role: 'db' }) }], [tcp(5678)])],
    });
    expect(sentences(explained([policy], FLOW).sides.egress)).toEqual([
      'policy app1/frontend rule 1 would allow port 5678 to pods with role=db; backend-1 has role=backend',
    ]);
  });

  test('are sorted by closeness, and show the nearest peer and port of each rule', () => {
    const policy = policyFor('backend', 'backend', {
      ingress: [
        allow([{ podSelector: matching({ a: '1', b: '2', c: '3' }) }], [tcp(1)]),
        allow([{ podSelector: matching({ a: '1', b: '2' }) }, { podSelector: matching({ role: 'web' }) }]),
        allow([FRONTENDS], [tcp(1), { protocol: 'UDP', port: 5678 }]),
        allow([FRONTENDS], [tcp('api2')]),
      ],
    });
    expect(
      sentences(explained([policy], FLOW).sides.ingress).map((text) =>
        text.slice(0, 'policy app1/backend rule 1'.length),
      ),
    ).toEqual([
      'policy app1/backend rule 3',
      'policy app1/backend rule 4',
      'policy app1/backend rule 2',
      'policy app1/backend rule 1',
    ]);
    expect(sentences(explained([policy], FLOW).sides.ingress)[2]).toContain('pods with role=web');
  });

  test('of an address are ipBlocks, however far, before selectors', () => {
    const policy = policyFor('backend', 'backend', {
      ingress: [allow([FRONTENDS]), allow([{ ipBlock: { cidr: '192.0.2.0/24', except: [] } }, FRONTENDS])],
    });
    const missed = sentences(explained([policy], ['8.8.8.8', 'app1/backend-1', '5678']).sides.ingress);
    expect(missed.map((text) => text.slice('policy app1/backend '.length))).toEqual([
      'rule 2 would allow port 5678 from 192.0.2.0/24; 8.8.8.8 is outside 192.0.2.0/24',
      'rule 1 would allow port 5678 from pods with role=frontend; 8.8.8.8 is not a pod of the cluster',
    ]);
  });

  test('begin with a policy that has an error', () => {
    const broken = policyFor('backend', 'broken', { ingress: [] }, { error: 'spec.ingress[0]: unknown field "form"' });
    expect(explained([backend([FRONTENDS], [tcp(1)]), broken], FLOW).sides.ingress.nearMisses[0]).toEqual({
      policy: 'app1/broken',
      differences: ['broken-policy'],
      sentence:
        'policy app1/broken has an error, so it isolates its pods and allows nothing: spec.ingress[0]: unknown field "form"',
    });
  });

  test('include rules that allow the flow, in policies that select other pods', () => {
    const other = policyFor('api', 'api', { ingress: [allow([FRONTENDS], [tcp(5678)])] });
    expect(sentences(explained([deny, other], FLOW).sides.ingress)).toEqual([
      'policy app1/api rule 1 would allow it, but the policy selects pods with role=api; backend-1 has role=backend',
    ]);
  });

  test('include rules that allow the flow, if policyTypes leave out their direction', () => {
    const other = policyFor('backend', 'typed', { ingress: [allow([FRONTENDS])] }, { isolates: ['egress'] });
    expect(sentences(explained([deny, other], FLOW).sides.ingress)).toEqual([
      "policy app1/typed rule 1 would allow it, but the policy's policyTypes have no Ingress: its ingress rules do not count",
    ]);
  });

  test('are none for an allowed side, nor for a policy without rules', () => {
    const { egress, ingress } = explained([deny], FLOW).sides;
    expect(egress.nearMisses).toEqual([]);
    expect(ingress.nearMisses).toEqual([]);
  });
});
