/** Single changes of a large cluster, by kind. Each kind leaves the cluster as large as it was. */
import type {
  ClusterRecord,
  LabelSelector,
  PodRecord,
  PolicyPeer,
  PolicyRecord,
  PolicyRule,
} from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { APPS, type ClusterSize, labels, namespace, pod, policy, team } from './cluster.ts';

/** Returns change number `i` of its kind. */
export type EventOf = (i: number, size: ClusterSize) => ClusterChange;

export const EVENTS: Readonly<Record<string, EventOf>> = {
  'pod added elsewhere': (i, size) => set(podElsewhere(i, size)),
  'pod relabelled elsewhere': (i, size) => set(pod(elsewhere(i, size), size, { revision: String(i) })),
  'pod address changed elsewhere': (i, size) => set(moved(podElsewhere(i, size))),
  'named port changed elsewhere': (i, size) => set(listening(moved(podElsewhere(i, size)), 1000 + i)),
  'pod deleted elsewhere': (i, size) => gone(podElsewhere(i, size)),
  'pod added here': (i, size) => set(podHere(i, size)),
  'pod relabelled here': (i, size) => set(pod(here(i, size), size, { revision: String(i) })),
  'pod address changed here': (i, size) => set(moved(podHere(i, size))),
  'named port changed here': (i, size) => set(listening(moved(podHere(i, size)), 1000 + i)),
  'pod deleted here': (i, size) => gone(podHere(i, size)),
  'namespace without pods added': (i, size) => set(namespace(size.namespaces + i)),
  'namespace without pods deleted': (i, size) => gone(namespace(size.namespaces + i)),
  'namespace relabelled elsewhere': (i, size) =>
    set(namespace(elsewhere(i, size) % size.namespaces, { team: team(i + 1) })),
  'namespace relabelled here': (i, size) => set(namespace(here(i, size) % size.namespaces, { team: team(i + 1) })),
  'namespace of a pod here deleted': (i, size) => gone(namespace(here(i, size) % size.namespaces)),
  'namespace of a pod here added': (i, size) => set(namespace(here(i, size) % size.namespaces)),
  'policy added elsewhere': (i, size) => set(policyElsewhere(i, size)),
  'policy edited elsewhere': (i, size) => set(allowingOnly(policyElsewhere(i, size), port(1000 + i))),
  'policy deleted elsewhere': (i, size) => gone(policyElsewhere(i, size)),
  'policy added here': (i, size) => set(policyHere(i, size)),
  'policy edited here': (i, size) => set(allowingOnly(policyHere(i, size), port(1000 + i))),
  'policy edited here, an ipBlock': (i, size) => set(allowingOnly(policyHere(i, size), block(i))),
  'policy deleted here': (i, size) => gone(policyHere(i, size)),
  'policy with a selector that is new to the cluster': (i) =>
    set(allowing({ namespaceSelector: labels({}), podSelector: labels({ 'app.kubernetes.io/name': podName(i) }) })),
  'policy with a namespace selector that is new': (i) =>
    set(allowing({ namespaceSelector: labels({ team: team(3 * i + 1), env: 'staging' }) })),
  'policy that selects everything, allowing every pod': (i) =>
    set(allowing({ namespaceSelector: labels({}) }, i % 2 === 0 ? ['ingress', 'egress'] : ['ingress'])),
};

/** New selectors that match so much that regrouping the matches is most of the work. */
export const SWEEPING_EVENTS: Readonly<Record<string, EventOf>> = {
  'new selector of a quarter of all pods': (i) =>
    set(allowing({ namespaceSelector: labels({}), podSelector: without({ app: 'web' }, `mark-${i}`) })),
  'new selector of all pods, by what they have not': (i) =>
    set(allowing({ namespaceSelector: labels({}), podSelector: without({}, `mark-${i}`) })),
  'new selector of all namespaces, by what they have not': (i) =>
    set(allowing({ namespaceSelector: without({}, `mark-${i}`) })),
};

/** Returns one of the 2,000 names that pods have. */
function podName(i: number): string {
  return `${APPS[i % APPS.length]}-${Math.floor(i / APPS.length) % 500}`;
}

function set(record: ClusterRecord): ClusterChange {
  return { type: 'set', record };
}

function gone(record: ClusterRecord): ClusterChange {
  return { type: 'delete', record };
}

/** Returns the number of a pod on another node. */
function elsewhere(i: number, { pods }: ClusterSize): number {
  return (1 + 17 * i) % pods;
}

/** Returns the number of a pod on this node: a multiple of the number of nodes. */
function here(i: number, { pods, podsOfNode }: ClusterSize): number {
  return (i % podsOfNode) * Math.ceil(pods / podsOfNode);
}

function podElsewhere(i: number, size: ClusterSize): PodRecord {
  return another(pod(elsewhere(i, size), size), i);
}

function podHere(i: number, size: ClusterSize): PodRecord {
  return another(pod(here(i, size), size), i);
}

function policyElsewhere(i: number, size: ClusterSize): PolicyRecord {
  return renamed(policy(elsewhere(i, size) % size.policies, size));
}

/** Returns the egress policy for all pods of a namespace that has a pod here. */
function policyHere(i: number, size: ClusterSize): PolicyRecord {
  return renamed(policy(2 * size.namespaces + (here(i, size) % size.namespaces), size));
}

function another(record: PodRecord, i: number): PodRecord {
  return { ...record, name: `${record.name}-another`, addresses: [`11.0.${(i >>> 8) & 255}.${i & 255}`] };
}

function moved(record: PodRecord): PodRecord {
  return { ...record, addresses: record.addresses.map((address) => address.replace(/^11/, '12')) };
}

function listening(record: PodRecord, number: number): PodRecord {
  return { ...record, ports: record.ports.map((each) => ({ ...each, port: number })) };
}

function renamed(record: PolicyRecord): PolicyRecord {
  return { ...record, name: `${record.name}-another` };
}

function allowingOnly(record: PolicyRecord, rule: PolicyRule): PolicyRecord {
  return { ...record, ingress: [rule], egress: [rule] };
}

function port(number: number): PolicyRule {
  return { peers: [], ports: [{ protocol: 'TCP', port: number }] };
}

function block(i: number): PolicyRule {
  const prefix = `172.${16 + (i % 16)}`;
  return { peers: [{ ipBlock: { cidr: `${prefix}.0.0/16`, except: [`${prefix}.${i % 256}.0/24`] } }], ports: [] };
}

/** Returns a policy for all pods of the first namespace. */
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
