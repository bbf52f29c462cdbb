/** Whether a pod may ask the cluster's name server: egress isolation that forgets it stops every connection by name. */

import { familyOf } from '../cluster/addresses.ts';
import type { PodRecord } from '../cluster/records.ts';
import { recordKey } from '../cluster/records.ts';
import { UDP } from '../packet/protocols.ts';
import type { Attribution } from '../policy/attribution.ts';
import type { ClusterJudge } from './cluster-judge.ts';
import { podEnd } from './ends.ts';
import type { FlowEnd } from './flow-end.ts';

const DNS_PORT = 53;

/** Labels that the usual installations of CoreDNS and its predecessor have. */
const LABELS: readonly (readonly [key: string, value: string])[] = [
  ['k8s-app', 'kube-dns'],
  ['k8s-app', 'coredns'],
  ['app.kubernetes.io/name', 'coredns'],
  // On every node, in its network: a pod always reaches that of its own.
  ['k8s-app', 'node-local-dns'],
  ['dns.operator.openshift.io/daemonset-dns', 'default'],
];

export function isNameServer({ labels }: PodRecord): boolean {
  return LABELS.some(([key, value]) => labels[key] === value);
}

/** A sentence where `from` is isolated for egress and not allowed to ask any name server. */
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
  return `${from.namespace}/${from.name} is isolated for egress and not allowed to ask ${whom} on port ${first?.port ?? DNS_PORT}/udp: names do not resolve for it.`;
}

/** Behind the translation of its Service a name server may listen on another port, which its container then names. */
function portOf({ ports }: PodRecord): number {
  return ports.find(({ protocol, name }) => protocol === 'UDP' && name?.startsWith('dns'))?.port ?? DNS_PORT;
}

/** Where no name server is known: a rule for port 53 is taken for one for it. */
function mayAskSomebody(attribution: Attribution, source: string): boolean {
  const flow = { source, destination: '', protocol: UDP, port: DNS_PORT };
  return attribution
    .isolating(source, 'egress')
    .filter(({ error }) => error === undefined)
    .some(({ egress }) =>
      egress.some(({ ports }) => ports.length === 0 || ports.some((port) => attribution.isPort(port, flow))),
    );
}
