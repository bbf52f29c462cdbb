/**
 * The cluster in which packets are judged: one endpoint, `db`, and peers on other nodes that open
 * flows to it. All policies are in db's namespace and select db. That is the worst case: a scan has
 * to look at every one of them.
 *
 * Labels put the peers into groups. Policy i opens one port to one group; the ports are not
 * adjacent, so that they stay separate ranges. The policies that open `OPEN_PORT` are spread evenly
 * over all policies.
 */
import type { ClusterRecord, PodRecord, PolicyRecord } from '../../src/cluster/records.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import type { RuleTable } from '../../src/policy/rule-table.ts';

export interface Scenario {
  readonly policies: number;
  readonly pods: number;
  /** Number of flows in the table; they fill it. */
  readonly flows: number;
}

export const DB = '10.0.0.2';
/** Pod i has this address plus i. */
export const FIRST_POD = (10 << 24) | (128 << 16);
/** A port on db that every group may use, and one that no group may use. */
export const OPEN_PORT = 80;
export const CLOSED_PORT = 9;

const NODE = 'here';
const NAMESPACE = 'default';
const EMPTY = { matchLabels: {}, matchExpressions: [] };

export function recordsOf({ policies, pods }: Scenario): ClusterRecord[] {
  const groups = Math.min(policies, pods);
  return [
    { kind: 'Namespace', name: NAMESPACE, labels: { 'kubernetes.io/metadata.name': NAMESPACE } },
    pod('db', { app: 'db' }, DB, NODE),
    ...Array.from({ length: pods }, (_, i) => pod(`peer-${i}`, { group: `g${i % groups}` }, podAddress(i), 'there')),
    ...Array.from({ length: policies }, (_, i) => policy(i, groups, policies / groups)),
  ];
}

export function compiled(records: readonly ClusterRecord[]): RuleTable {
  const compiler = new PolicyCompiler(NODE);
  compiler.apply(records.map((record) => ({ type: 'set', record })));
  return compiler.compile().table;
}

function pod(name: string, labels: Readonly<Record<string, string>>, address: string, nodeName: string): PodRecord {
  return {
    kind: 'Pod',
    namespace: NAMESPACE,
    name,
    labels,
    nodeName,
    addresses: [address],
    hostNetwork: false,
    ports: [],
  };
}

function podAddress(i: number): string {
  const address = FIRST_POD + i;
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** @param ports the number of ports opened to each group */
function policy(i: number, groups: number, ports: number): PolicyRecord {
  const podSelector = { ...EMPTY, matchLabels: { group: `g${i % groups}` } };
  const port = OPEN_PORT + 2 * ((Math.floor(i / groups) + (i % groups)) % Math.max(1, Math.floor(ports)));
  return {
    kind: 'NetworkPolicy',
    namespace: NAMESPACE,
    name: `policy-${i}`,
    podSelector: { ...EMPTY, matchLabels: { app: 'db' } },
    isolates: ['ingress'],
    ingress: [
      {
        peers: [{ podSelector }],
        ports: [
          { protocol: 'TCP', port },
          { protocol: 'UDP', port },
        ],
      },
    ],
    egress: [],
  };
}
