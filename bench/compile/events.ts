/** Single changes of a large cluster, by kind. Each kind leaves the cluster as large as it was. */
import type { ClusterRecord, LabelSelector, PodRecord, PolicyPeer, PolicyRecord } from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { type ClusterSize, labels, namespace, pod, policy, team } from './cluster.ts';

/** The change with number `i` of its kind. */
export type EventOf = (i: number, size: ClusterSize) => ClusterChange;

export const EVENTS: Readonly<Record<string, EventOf>> = {
  'pod added elsewhere': (i, size) => set(another(pod(elsewhere(i, size), size), i)),
  'pod relabelled elsewhere': (i, size) => set(pod(elsewhere(i, size), size, { revision: String(i) })),
  'pod deleted elsewhere': (i, size) => gone(another(pod(elsewhere(i, size), size), i)),
  'pod added here': (i, size) => set(another(pod(here(i, size), size), i)),
  'pod relabelled here': (i, size) => set(pod(here(i, size), size, { revision: String(i) })),
  'pod deleted here': (i, size) => gone(another(pod(here(i, size), size), i)),
  'namespace added': (i, size) => set(namespace(size.namespaces + i)),
  'namespace relabelled': (i, size) => set(namespace(here(i, size) % size.namespaces, { team: team(i + 1) })),
  'namespace deleted': (i, size) => gone(namespace(size.namespaces + i)),
  'policy added elsewhere': (i, size) => set(renamed(policy(elsewhere(i, size) % size.policies, size))),
  'policy deleted elsewhere': (i, size) => gone(renamed(policy(elsewhere(i, size) % size.policies, size))),
  'policy added here': (i, size) => set(renamed(policyHere(i, size))),
  'policy edited here': (i, size) => set(edited(renamed(policyHere(i, size)), i)),
  'policy deleted here': (i, size) => gone(renamed(policyHere(i, size))),
  'policy with a selector that is new to the cluster': (i) =>
    set(allowing({ namespaceSelector: labels({}), podSelector: labels({ 'app.kubernetes.io/name': `web-${4 * i}` }) })),
  'policy with a namespace selector that is new': (i) =>
    set(allowing({ namespaceSelector: labels({ team: team(3 * i + 1), env: 'staging' }) })),
  'policy that selects everything, allowing every pod': (i) =>
    set(allowing({ namespaceSelector: labels({}) }, i % 2 === 0 ? ['ingress', 'egress'] : ['ingress'])),
};

/** Selectors that are new and match so much that putting it all into other groups is the work. */
export const SWEEPING_EVENTS: Readonly<Record<string, EventOf>> = {
  'new selector of a quarter of all pods': (i) =>
    set(allowing({ namespaceSelector: labels({}), podSelector: without({ app: 'web' }, `mark-${i}`) })),
  'new selector of all pods, by what they have not': (i) =>
    set(allowing({ namespaceSelector: labels({}), podSelector: without({}, `mark-${i}`) })),
  'new selector of all namespaces, by what they have not': (i) =>
    set(allowing({ namespaceSelector: without({}, `mark-${i}`) })),
};

function set(record: ClusterRecord): ClusterChange {
  return { type: 'set', record };
}

function gone(record: ClusterRecord): ClusterChange {
  return { type: 'delete', record };
}

/** A pod of another node. */
function elsewhere(i: number, { pods }: ClusterSize): number {
  return (1 + 17 * i) % pods;
}

/** A pod of this node: those whose number its nodes divide. */
function here(i: number, { pods, podsOfNode }: ClusterSize): number {
  return (i % podsOfNode) * Math.ceil(pods / podsOfNode);
}

/** A policy of a namespace that has a pod here. */
function policyHere(i: number, size: ClusterSize): PolicyRecord {
  return policy(here(i, size) % size.namespaces, size);
}

function another(record: PodRecord, i: number): PodRecord {
  return { ...record, name: `${record.name}-another`, addresses: [`11.0.${(i >>> 8) & 255}.${i & 255}`] };
}

function renamed(record: PolicyRecord): PolicyRecord {
  return { ...record, name: `${record.name}-another` };
}

function edited(record: PolicyRecord, i: number): PolicyRecord {
  return { ...record, ingress: [{ peers: [], ports: [{ protocol: 'TCP', port: 1000 + i }] }] };
}

/** A policy of the first namespace, for all of its pods. */
function allowing(peer: PolicyPeer, isolates: PolicyRecord['isolates'] = ['ingress']): PolicyRecord {
  const rules = [{ peers: [peer], ports: [] }];
  return {
    kind: 'NetworkPolicy',
    namespace: 'ns-0',
    name: 'allowing',
    podSelector: labels({}),
    isolates,
    ingress: rules,
    egress: rules,
  };
}

function without(matchLabels: LabelSelector['matchLabels'], key: string): LabelSelector {
  return { matchLabels, matchExpressions: [{ key, operator: 'DoesNotExist', values: [] }] };
}
