/**
 * Whether a pod may query the cluster's name server: egress isolation that forgets DNS breaks every
 * connection by name.
 */

import { familyOf } from '../cluster/addresses.ts';
import type { PodRecord } from '../cluster/records.ts';
import { recordKey } from '../cluster/records.ts';
import { UDP } from '../packet/protocols.ts';
import type { Attribution } from '../policy/attribution.ts';
import type { ClusterJudge } from './cluster-judge.ts';
import { podEnd } from './ends.ts';
import type { FlowEnd } from './flow-end.ts';

const DNS_PORT = 53;

/** Labels of the common installations of CoreDNS and its predecessor. */
const LABELS: readonly (readonly [key: string, value: string])[] = [
  ['k8s-app', 'kube-dns'],
  ['k8s-app', 'coredns'],
  ['app.kubernetes.io/name', 'coredns'],
  // Runs on every node in the node's network: a pod always reaches the one of its own node.
  ['k8s-app', 'node-local-dns'],
  ['dns.operator.openshift.io/daemonset-dns', 'default'],
];

export function isNameServer({ labels }: PodRecord): boolean {
  return LABELS.some(([key, value]) => labels[key] === value);
}

/** Returns a sentence if `from` is isolated for egress and may not query any name server. */
export function nameServerNote(
  attribution: Attribution,
  judge: ClusterJudge,
  pods: readonly PodRecord[],
  from: FlowEnd,
): string | undefined {
  const isolating = attribution.isolating(from.address, 'egress');
  if (from.kind !== 'pod' || !isolating.some((policy) => attribution.modeOf(policy) === 'enforce')) return undefined;
  const servers = pods
    .filter(isNameServer)
    .flatMap((pod) =>
      pod.addresses
        .filter((address) => familyOf(address) === familyOf(from.address))
        .map((address) => ({ name: recordKey(pod), end: podEnd(pod, address), port: portOf(pod) })),
    );
  if (servers.some(({ end, port }) => judge.judge(from, end, 'UDP', port).egress === 'allow')) return undefined;
  if (servers.length === 0 && mayAskSomebody(attribution, from.address)) return undefined;
  const [first] = servers;
  const whom = first === undefined ? 'a name server' : `the name server (${first.name})`;
  return `${from.namespace}/${from.name} is isolated for egress and may not query ${whom} on port ${first?.port ?? DNS_PORT}/udp: it cannot resolve names.`;
}

/**
 * Returns the port of the name server's pod. Behind a Service it may differ from 53; the container
 * then names it `dns…`.
 */
function portOf({ ports }: PodRecord): number {
  return ports.find(({ protocol, name }) => protocol === 'UDP' && name?.startsWith('dns'))?.port ?? DNS_PORT;
}

/** Whether a rule allows port 53 at all; asked if no name server is known. */
function mayAskSomebody(attribution: Attribution, source: string): boolean {
  const flow = { source, destination: '', protocol: UDP, port: DNS_PORT };
  return attribution
    .isolating(source, 'egress')
    .filter(({ error }) => error === undefined)
    .some(({ egress }) =>
      egress.some(({ ports }) => ports.length === 0 || ports.some((port) => attribution.isPort(port, flow))),
    );
}
