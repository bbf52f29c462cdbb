/** Every connection that a lab can try, and the path of its packets. */
import { type PodRecord, type Protocol, recordKey } from '../cluster/records.ts';
import { listeningPorts, type ServicePort } from '../cluster/service-ports.ts';
import { familyOf } from '../sys/sockets.ts';
import type { Hop } from './expectations.ts';
import { CHOOSABLE_BACKENDS, choosingPorts } from './kube-proxy.ts';
import type { LabExternal } from './plan.ts';
import type { LabNode } from './scheduling.ts';
import type { PortRange } from './traffic/messages.ts';

/**
 * Source ports of direct probes to a pod: below the ephemeral range, which ordinary programs use.
 */
const DIRECT_PORTS: PortRange = { first: 10_000, count: 20_000 };

export interface Probe {
  /** `namespace/name` of a pod, or the name of an external host. */
  readonly from: string;
  /** `namespace/name` of a pod, or `service/namespace/name`. */
  readonly to: string;
  /** The port that the sender uses: of the pod, the Service, or the node. */
  readonly port: number;
  readonly protocol: Protocol;
  /** The address that the sender uses. */
  readonly address: string;
  /** How the probe reaches the pod. */
  readonly via: 'pod' | 'cluster-ip' | 'node-port';
  /** The pod expected to answer, `namespace/name`: `to` itself, or the selected backend. */
  readonly pod: string;
  /** The port on that pod. */
  readonly podPort: number;
  /** The address of that pod that receives the packet. */
  readonly podAddress: string;
  /** The sender's address. */
  readonly source: string;
  readonly sourcePorts: PortRange;
  /** The nodes that forward it. */
  readonly hops: readonly Hop[];
}

export interface ProbeSpace {
  readonly nodes: readonly LabNode[];
  readonly pods: readonly PodRecord[];
  readonly externals: readonly LabExternal[];
  readonly services: readonly ServicePort[];
}

interface Sender {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly pod: PodRecord | undefined;
}

/**
 * Returns probes from every pod and external host to every listening port of every other pod; from
 * every pod to every Service, even one that it is behind; and from every external host to every
 * node port of every node.
 */
export function allProbes(space: ProbeSpace): readonly Probe[] {
  const pods = new Map(space.pods.map((pod) => [recordKey(pod), pod]));
  const senders: Sender[] = [
    ...space.pods.map((pod) => ({ name: recordKey(pod), addresses: pod.addresses, pod })),
    ...space.externals.map(({ name, addresses }) => ({ name, addresses, pod: undefined })),
  ];
  const listening = new Map(space.pods.map((pod) => [pod, listeningPorts(pod, space.services)]));
  return senders.flatMap((sender) => [
    ...space.pods.flatMap((pod) => directProbes(sender, pod, listening.get(pod) ?? [])),
    ...space.services.flatMap((service) =>
      sender.pod ? clusterIpProbes(sender, service, pods) : nodePortProbes(sender, service, pods, space.nodes),
    ),
  ]);
}

function directProbes(
  sender: Sender,
  pod: PodRecord,
  ports: readonly { readonly protocol: Protocol; readonly port: number }[],
): Probe[] {
  const name = recordKey(pod);
  if (sender.name === name) return [];
  return pod.addresses.flatMap((address) => {
    const source = sourceFor(sender, address);
    if (source === undefined) return [];
    const hops = hopsBetween(source, sender.pod, pod);
    return ports.map(({ port, protocol }) => ({
      from: sender.name,
      to: name,
      port,
      protocol,
      address,
      via: 'pod' as const,
      pod: name,
      podPort: port,
      podAddress: address,
      source,
      sourcePorts: DIRECT_PORTS,
      hops,
    }));
  });
}

function clusterIpProbes(sender: Sender, service: ServicePort, pods: ReadonlyMap<string, PodRecord>): Probe[] {
  const source = sourceFor(sender, service.clusterIP);
  if (source === undefined) return [];
  return throughService(sender, service, pods, service.clusterIP, service.port, 'cluster-ip', source, (pod) =>
    hopsBetween(source, sender.pod, pod),
  );
}

function nodePortProbes(
  sender: Sender,
  service: ServicePort,
  pods: ReadonlyMap<string, PodRecord>,
  nodes: readonly LabNode[],
): Probe[] {
  const { nodePort } = service;
  if (nodePort === undefined) return [];
  return nodes.flatMap((node) => {
    const address = node.addresses.find((each) => familyOf(each) === familyOf(service.clusterIP));
    const source = address === undefined ? undefined : sourceFor(sender, address);
    if (address === undefined || source === undefined) return [];
    return throughService(sender, service, pods, address, nodePort, 'node-port', source, (pod) =>
      hopsThroughNodePort(source, node.name, address, pod),
    );
  });
}

function throughService(
  sender: Sender,
  { service, protocol, backends }: ServicePort,
  pods: ReadonlyMap<string, PodRecord>,
  address: string,
  port: number,
  via: Probe['via'],
  source: string,
  hopsTo: (pod: PodRecord) => readonly Hop[],
): Probe[] {
  return backends.slice(0, CHOOSABLE_BACKENDS).flatMap((backend, i) => {
    const pod = pods.get(backend.pod);
    if (!pod) return [];
    return {
      from: sender.name,
      to: `service/${service}`,
      port,
      protocol,
      address,
      via,
      pod: backend.pod,
      podPort: backend.port,
      podAddress: backend.address,
      source,
      sourcePorts: choosingPorts(i),
      hops: hopsTo(pod),
    };
  });
}

function sourceFor({ addresses }: Sender, target: string): string | undefined {
  return addresses.find((address) => familyOf(address) === familyOf(target));
}

/**
 * Returns the nodes that forward the packet. A node forwards what passes a veth of one of its pods,
 * but not what its own network namespace sends or receives.
 */
function hopsBetween(source: string, from: PodRecord | undefined, to: PodRecord): Hop[] {
  const hops: Hop[] = [];
  const takenByNode = (node: string | undefined) => to.hostNetwork && to.nodeName === node;
  if (from && !from.hostNetwork && from.nodeName !== undefined && !takenByNode(from.nodeName)) {
    hops.push({ node: from.nodeName, source });
  }
  if (to.hostNetwork || to.nodeName === undefined || from?.nodeName === to.nodeName) return hops;
  hops.push({ node: to.nodeName, source });
  return hops;
}

/**
 * Returns the forwarding nodes behind a node port. The queried node forwards to the backend; if the
 * backend is on another node, the packet goes there with the queried node's address as its source.
 */
function hopsThroughNodePort(source: string, node: string, address: string, to: PodRecord): Hop[] {
  if (to.nodeName === node) return to.hostNetwork ? [] : [{ node, source }];
  const first = { node, source };
  return to.hostNetwork || to.nodeName === undefined ? [first] : [first, { node: to.nodeName, source: address }];
}
