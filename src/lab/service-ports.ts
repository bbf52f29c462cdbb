/** Services and their endpoints: what the endpoints controller of a cluster would find. */
import { type PodRecord, type Protocol, recordKey } from '../cluster/records.ts';
import type { ServiceRecord } from '../manifests/services.ts';
import { familyOf } from '../sys/sockets.ts';

export interface Backend {
  /** `namespace/name` of the pod. */
  readonly pod: string;
  readonly address: string;
  readonly port: number;
}

/** One port of a Service, for one of its addresses. */
export interface ServicePort {
  /** `namespace/name`. */
  readonly service: string;
  readonly clusterIP: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly nodePort: number | undefined;
  readonly backends: readonly Backend[];
}

/** The ports of all Services that have an address, with their endpoints among `pods`. */
export function servicePorts(services: readonly ServiceRecord[], pods: readonly PodRecord[]): readonly ServicePort[] {
  return services.flatMap((service) => {
    if (service.headless) return [];
    const selected = pods.filter((pod) => selects(service, pod));
    return service.clusterIPs.flatMap((clusterIP) =>
      service.ports.map(({ protocol, port, targetPort, nodePort }) => ({
        service: `${service.namespace}/${service.name}`,
        clusterIP,
        protocol,
        port,
        nodePort,
        backends: selected.flatMap((pod) => backendOf(pod, familyOf(clusterIP), protocol, targetPort)),
      })),
    );
  });
}

/** A Service without a selector selects nothing: its endpoints are somebody else's work. */
function selects({ namespace, selector }: ServiceRecord, pod: PodRecord): boolean {
  const wanted = Object.entries(selector);
  return pod.namespace === namespace && wanted.length > 0 && wanted.every(([key, value]) => pod.labels[key] === value);
}

function backendOf(pod: PodRecord, family: number, protocol: Protocol, target: number | string): Backend[] {
  const address = pod.addresses.find((each) => familyOf(each) === family);
  const port =
    typeof target === 'number'
      ? target
      : pod.ports.find((each) => each.name === target && each.protocol === protocol)?.port;
  return address === undefined || port === undefined ? [] : [{ pod: recordKey(pod), address, port }];
}

export interface ListeningPort {
  readonly protocol: Protocol;
  readonly port: number;
}

/**
 * The ports on which a pod listens: its container ports, and the ports to which Services send, for a container port is only a
 * declaration and need not be there.
 */
export function listeningPorts(pod: PodRecord, services: readonly ServicePort[]): readonly ListeningPort[] {
  const key = recordKey(pod);
  const ports = new Map<string, ListeningPort>();
  for (const { protocol, port } of pod.ports) ports.set(`${protocol} ${port}`, { protocol, port });
  for (const { protocol, backends } of services) {
    for (const { pod: name, port } of backends) {
      if (name === key) ports.set(`${protocol} ${port}`, { protocol, port });
    }
  }
  return [...ports.values()].sort((a, b) => a.port - b.port || a.protocol.localeCompare(b.protocol));
}
