/** Tiny constructors of records. */
import type {
  ClusterRecord,
  LabelSelector,
  Labels,
  NamespaceRecord,
  PodRecord,
  PolicyPeer,
  PolicyPort,
  PolicyRecord,
  PolicyRule,
} from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';

export const NODE = { name: 'here', addresses: ['10.9.0.1'] };

export function set(...records: ClusterRecord[]): ClusterChange[] {
  return records.map((record) => ({ type: 'set', record }));
}

export function remove(...records: ClusterRecord[]): ClusterChange[] {
  return records.map((record) => ({ type: 'delete', record }));
}

export function namespace(name: string, labels: Labels = {}): NamespaceRecord {
  return { kind: 'Namespace', name, labels: { ...labels, 'kubernetes.io/metadata.name': name } };
}

/**
 * Returns an endpoint of this node, unless `more` says otherwise. `name` may be `namespace/name`;
 * the default namespace is `default`.
 */
export function pod(name: string, address: string, labels: Labels = {}, more: Partial<PodRecord> = {}): PodRecord {
  const [own, space = 'default'] = name.split('/').reverse() as [string, string?];
  return {
    kind: 'Pod',
    namespace: space,
    name: own,
    labels,
    nodeName: NODE.name,
    addresses: [address],
    hostNetwork: false,
    ports: [],
    ...more,
  };
}

export function matching(matchLabels: Labels = {}): LabelSelector {
  return { matchLabels, matchExpressions: [] };
}

/** Returns a policy for every pod of its namespace. */
export function ingressPolicy(
  name: string,
  rules: readonly PolicyRule[],
  more: Partial<PolicyRecord> = {},
): PolicyRecord {
  return {
    kind: 'NetworkPolicy',
    namespace: 'default',
    name,
    podSelector: matching(),
    isolates: ['ingress'],
    ingress: rules,
    egress: [],
    ...more,
  };
}

export function allow(peers: readonly PolicyPeer[], ports: readonly PolicyPort[] = []): PolicyRule {
  return { peers, ports };
}

export function tcp(port: number | string, endPort?: number): PolicyPort {
  return { protocol: 'TCP', port, ...(endPort === undefined ? {} : { endPort }) };
}
