/**
 * A large cluster: four pods and three policies in each namespace. The pods of a namespace are on
 * different nodes, so that a node has pods of as many namespaces as it has pods. Labels are those
 * that charts and controllers write; no selector uses most of them.
 */
import type {
  ClusterRecord,
  LabelSelector,
  Labels,
  NamespaceRecord,
  PodRecord,
  PolicyRecord,
  PolicyRule,
} from '../../src/cluster/records.ts';

export interface ClusterSize {
  readonly namespaces: number;
  readonly pods: number;
  readonly policies: number;
  readonly podsOfNode: number;
}

export const LARGE: ClusterSize = { namespaces: 25_000, pods: 100_000, policies: 75_000, podsOfNode: 110 };
/** A hundredth of the large cluster. */
export const SMALL: ClusterSize = { namespaces: 250, pods: 1000, policies: 750, podsOfNode: 110 };

export const NODE = { name: 'node-0', addresses: ['172.16.0.1'] };

export const APPS = ['web', 'api', 'worker', 'db'] as const;
const TEAMS = 200;
const DNS: PolicyRule = {
  peers: [
    {
      namespaceSelector: labels({ 'kubernetes.io/metadata.name': 'ns-0' }),
      podSelector: labels({ 'k8s-app': 'kube-dns' }),
    },
  ],
  ports: [
    { protocol: 'UDP', port: 53 },
    { protocol: 'TCP', port: 53 },
  ],
};

export function labels(matchLabels: Labels): LabelSelector {
  return { matchLabels, matchExpressions: [] };
}

export function recordsOf(size: ClusterSize): ClusterRecord[] {
  return [
    ...Array.from({ length: size.namespaces }, (_, i) => namespace(i)),
    ...Array.from({ length: size.pods }, (_, i) => pod(i, size)),
    ...Array.from({ length: size.policies }, (_, i) => policy(i, size)),
  ];
}

export function namespace(i: number, more: Labels = {}): NamespaceRecord {
  const name = `ns-${i}`;
  const env = i % 3 === 0 ? 'production' : 'staging';
  return { kind: 'Namespace', name, labels: { 'kubernetes.io/metadata.name': name, team: team(i), env, ...more } };
}

/**
 * Returns pod i, in namespace `i % namespaces`. `app` is one of four, so that each namespace has
 * one pod of each.
 */
export function pod(i: number, { namespaces, pods, podsOfNode }: ClusterSize, more: Labels = {}): PodRecord {
  const app = APPS[Math.floor(i / namespaces) % APPS.length] as string;
  const nodes = Math.ceil(pods / podsOfNode);
  return {
    kind: 'Pod',
    namespace: `ns-${i % namespaces}`,
    name: `${app}-${i}`,
    labels: {
      app,
      'app.kubernetes.io/name': `${app}-${i % 500}`,
      'app.kubernetes.io/managed-by': 'Helm',
      'pod-template-hash': (Math.imul(i, 0x9e3779b1) >>> 0).toString(16),
      ...(i === 0 && { 'k8s-app': 'kube-dns' }),
      ...more,
    },
    nodeName: `node-${i % nodes}`,
    addresses: [address(i)],
    hostNetwork: false,
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  };
}

export function address(i: number): string {
  return `10.${(i >>> 16) & 255}.${(i >>> 8) & 255}.${i & 255}`;
}

/**
 * Returns policy i, in namespace `i % namespaces`. The three policies of a namespace are for
 * ingress of web, for ingress of the database, and for all egress.
 */
export function policy(i: number, { namespaces }: ClusterSize): PolicyRecord {
  const of = i % namespaces;
  const named = { kind: 'NetworkPolicy', namespace: `ns-${of}`, name: `policy-${i}` } as const;
  switch (Math.floor(i / namespaces) % 3) {
    case 0: {
      const ingress = [
        {
          peers: [{ namespaceSelector: labels({ team: team(of + 1) }), podSelector: labels({ app: 'web' }) }],
          ports: [{ protocol: 'TCP' as const, port: 'http' }],
        },
        { peers: [{ podSelector: labels({}) }], ports: [] },
      ];
      return { ...named, podSelector: labels({ app: 'web' }), isolates: ['ingress'], ingress, egress: [] };
    }
    case 1: {
      const peers = [{ podSelector: labels({ app: 'api' }) }, { podSelector: labels({ app: 'worker' }) }];
      const ingress = [{ peers, ports: [{ protocol: 'TCP' as const, port: 5432 + (of % 50) }] }];
      return { ...named, podSelector: labels({ app: 'db' }), isolates: ['ingress'], ingress, egress: [] };
    }
    default: {
      const block = { ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '169.254.169.254/32'] } };
      const egress = [DNS, { peers: [block], ports: [] }, { peers: [{ podSelector: labels({}) }], ports: [] }];
      return { ...named, podSelector: labels({}), isolates: ['egress'], ingress: [], egress };
    }
  }
}

export function team(i: number): string {
  return `team-${i % TEAMS}`;
}
