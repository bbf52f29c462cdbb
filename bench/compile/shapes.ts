/**
 * Clusters in bad shapes: the most costly ones that a user might write, by mistake or on purpose.
 */
import type { ClusterRecord, IpBlock, PodRecord, PolicyRecord, PolicyRule } from '../../src/cluster/records.ts';
import { address, labels, NODE } from './cluster.ts';

export interface Shape {
  readonly records: readonly ClusterRecord[];
  /** The policy among them whose rules are edited. */
  readonly edited: PolicyRecord;
}

const NAMESPACE = 'ns-0';
const ENDPOINTS = 110;

/** `n` is the number of pods, policies or CIDRs, whichever the shape has many of. */
export const SHAPES: Readonly<Record<string, (n: number) => Shape>> = {
  '1 policy that selects everything, 100,000 pods': (n) =>
    shape(10 * n, [policy(0, {}, [{ peers: [{ podSelector: labels({}) }], ports: [] }])]),
  '10,000 policies in one namespace': (n) =>
    shape(
      n,
      Array.from({ length: n }, (_, i) => policy(i, { app: `app-${i % n}` }, [fromRole(i)])),
    ),
  '10,000 policies that all select every pod': (n) =>
    shape(
      n,
      Array.from({ length: n }, (_, i) => policy(i, {}, [fromRole(i)])),
    ),
  '10,000 CIDRs with except': (n) => shape(ENDPOINTS, [policy(0, {}, blocks(n))]),
  '10,000 times all addresses, each with an except of its own': (n) =>
    shape(ENDPOINTS, [
      policy(
        0,
        {},
        Array.from({ length: n }, (_, i) => everythingBut(i)),
      ),
    ]),
};

function shape(pods: number, policies: readonly PolicyRecord[]): Shape {
  const records: ClusterRecord[] = [
    { kind: 'Namespace', name: NAMESPACE, labels: { 'kubernetes.io/metadata.name': NAMESPACE } },
    ...Array.from({ length: pods }, (_, i) => pod(i)),
    ...policies,
  ];
  return { records, edited: policies[0] as PolicyRecord };
}

function pod(i: number): PodRecord {
  return {
    kind: 'Pod',
    namespace: NAMESPACE,
    name: `pod-${i}`,
    labels: { app: `app-${i}`, role: `role-${i % 1000}` },
    nodeName: i < ENDPOINTS ? NODE.name : 'elsewhere',
    addresses: [address(i)],
    hostNetwork: false,
    ports: [],
  };
}

function policy(i: number, selected: Readonly<Record<string, string>>, ingress: readonly PolicyRule[]): PolicyRecord {
  return {
    kind: 'NetworkPolicy',
    namespace: NAMESPACE,
    name: `policy-${i}`,
    podSelector: labels(selected),
    isolates: ['ingress'],
    ingress,
    egress: [],
  };
}

function fromRole(i: number): PolicyRule {
  return {
    peers: [{ podSelector: labels({ role: `role-${i}` }) }],
    ports: [{ protocol: 'TCP', port: 1000 + 2 * (i % 5000) }],
  };
}

/**
 * Returns rules with a hundred CIDRs and a port each: /16s that leave out two /24s, and /24s inside
 * other rules' /16s.
 */
function blocks(n: number): PolicyRule[] {
  return Array.from({ length: Math.ceil(n / 100) }, (_, rule) => ({
    peers: Array.from({ length: Math.min(100, n) }, (_, i) => ({ ipBlock: block(100 * rule + i) })),
    ports: [{ protocol: 'TCP' as const, port: 1000 + 2 * rule }],
  }));
}

function block(i: number): IpBlock {
  const [first, second] = [20 + ((i >>> 8) & 127), i & 255];
  if (i % 2 === 0) {
    return { cidr: `${first}.${second}.0.0/16`, except: [`${first}.${second}.1.0/24`, `${first}.${second}.7.0/24`] };
  }
  const third = i % 251;
  return { cidr: `${first}.${second - 1}.${third}.0/24`, except: [`${first}.${second - 1}.${third}.8/32`] };
}

function everythingBut(i: number): PolicyRule {
  return {
    peers: [{ ipBlock: { cidr: '0.0.0.0/0', except: [`${address(3 * i)}/32`] } }],
    ports: [{ protocol: 'TCP', port: 443 }],
  };
}
