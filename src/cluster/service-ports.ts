/** Services and their endpoints, as the endpoints controller of a cluster would find them. */
import { type Family, familyOf } from './addresses.ts';
import { type PodRecord, type Protocol, recordKey } from './records.ts';
import type { ServiceRecord } from './services.ts';

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

/** Returns the ports of all Services that have an address, with their endpoints among `pods`. */
export function servicePorts(services: readonly ServiceRecord[], pods: readonly PodRecord[]): readonly ServicePort[] {
  return services.flatMap((service) => {
    if (service.headless) return [];
    const selected = pods.filter((pod) => isBehind(service, pod));
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

/**
 * Whether a Service selects the pod. Without a selector it selects none: something else maintains
 * its endpoints.
 */
export function isBehind({ namespace, selector }: ServiceRecord, pod: PodRecord): boolean {
  const wanted = Object.entries(selector);
  return pod.namespace === namespace && wanted.length > 0 && wanted.every(([key, value]) => pod.labels[key] === value);
}

function backendOf(pod: PodRecord, family: Family, protocol: Protocol, target: number | string): Backend[] {
  const address = pod.addresses.find((each) => familyOf(each) === family);
  const port = targetOn(pod, protocol, target);
  return address === undefined || port === undefined ? [] : [{ pod: recordKey(pod), address, port }];
}

/** Returns the number of a target port on a pod; undefined if the pod has no port of that name. */
export function targetOn({ ports }: PodRecord, protocol: Protocol, target: number | string): number | undefined {
  if (typeof target === 'number') return target;
  return ports.find((each) => each.name === target && each.protocol === protocol)?.port;
}

export interface ListeningPort {
  readonly protocol: Protocol;
  readonly port: number;
}

/**
 * Returns the ports on which a pod listens: its container ports, and the ports to which Services
 * send, because a container port is only a declaration and may be missing.
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
