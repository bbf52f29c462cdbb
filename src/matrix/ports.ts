/** The ports on which a destination is asked. */
import { isMistake, parseAddress, parseCidr } from '../cluster/addresses.ts';
import type { Direction, PodRecord, PolicyPeer, PolicyPort, PolicyRecord, Protocol } from '../cluster/records.ts';
import { matchesSelector } from '../cluster/selector.ts';
import { isBehind, targetOn } from '../cluster/service-ports.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import { isWithin } from './address-regions.ts';

export interface MatrixPort {
  readonly port: number;
  readonly protocol: Protocol;
  /** Of the container port. */
  readonly name?: string;
  /** The Services that lead there: `shop/backend:80`. */
  readonly services?: readonly string[];
  /** It stands for all ports that no policy names. */
  readonly other?: true;
}

/** More ports than these are not tried of an end that does not tell its own. */
const MOST_NAMED = 8;
const LAST_PORT = 65_535;

export class DestinationPorts {
  readonly #policies: readonly PolicyRecord[];
  readonly #services: readonly ServiceRecord[];
  readonly #other: number | undefined;

  constructor(policies: readonly PolicyRecord[], services: readonly ServiceRecord[]) {
    this.#policies = policies;
    this.#services = services;
    this.#other = unnamedPort(policies);
  }

  /**
   * The container ports, and the ports to which Services send, for a container port is only a declaration and need not be there. Of a pod
   * without either those that its policies name, and one that none names.
   */
  ofPod(pod: PodRecord): readonly MatrixPort[] {
    const ports = new Map<string, MatrixPort>();
    for (const { name, port, protocol } of pod.ports) {
      ports.set(portKey({ port, protocol }), { port, protocol, ...(name === undefined ? {} : { name }) });
    }
    for (const service of this.#services) {
      for (const { servicePort, target } of serviceTargets(service, pod)) {
        const { services = [], ...known } = ports.get(portKey(target)) ?? target;
        const via = `${service.namespace}/${service.name}:${servicePort}`;
        ports.set(portKey(target), { ...known, services: [...services, via] });
      }
    }
    if (ports.size > 0) return [...ports.values()].sort(byNumber);
    const selecting = this.#policies.filter(
      ({ namespace, podSelector }) => namespace === pod.namespace && matchesSelector(podSelector, pod.labels),
    );
    return this.#named(selecting, 'ingress', () => true);
  }

  /** The ports on which policies let pods reach these addresses, and one that none names. */
  ofAddresses(addresses: readonly string[]): readonly MatrixPort[] {
    return this.#named(
      this.#policies,
      'egress',
      (peers) => peers.length === 0 || peers.some((peer) => holds(peer, addresses)),
    );
  }

  #named(
    policies: readonly PolicyRecord[],
    direction: Direction,
    concerns: (peers: readonly PolicyPeer[]) => boolean,
  ): readonly MatrixPort[] {
    const ports = new Map<string, MatrixPort>();
    for (const rule of policies.flatMap((policy) => policy[direction])) {
      for (const { port, protocol } of concerns(rule.peers) ? rule.ports : []) {
        if (typeof port === 'number') ports.set(portKey({ port, protocol }), { port, protocol });
      }
    }
    const named = [...ports.values()].sort(byNumber).slice(0, MOST_NAMED);
    return this.#other === undefined ? named : [...named, { port: this.#other, protocol: 'TCP', other: true }];
  }
}

/** A port of a Service, and the pod's port where it leads. */
export interface ServiceTarget {
  readonly servicePort: number;
  readonly serviceName: string | undefined;
  readonly target: MatrixPort;
}

/** Where a Service leads on this pod: nowhere if it does not select it. */
export function serviceTargets(service: ServiceRecord, pod: PodRecord): readonly ServiceTarget[] {
  if (!isBehind(service, pod)) return [];
  return service.ports.flatMap(({ name: serviceName, protocol, port: servicePort, targetPort }) => {
    const port = targetOn(pod, protocol, targetPort);
    return port === undefined ? [] : { servicePort, serviceName, target: { port, protocol } };
  });
}

function portKey({ port, protocol }: { readonly port: number; readonly protocol: Protocol }): string {
  return `${protocol} ${port}`;
}

/** `TCP 80`, or `TCP other` for one that stands for the rest. */
export function portTitle(port: MatrixPort): string {
  return port.other ? `${port.protocol} other` : portKey(port);
}

/** Where the answer for a port may be another than for the number before it: a policy names the port, or a range begins or has ended. */
export function portBounds(policies: readonly PolicyRecord[]): readonly number[] {
  const bounds = new Set([1]);
  for (const { port, endPort } of portEntries(policies)) {
    if (typeof port !== 'number') continue;
    bounds.add(port);
    bounds.add((endPort ?? port) + 1);
  }
  return [...bounds].filter((bound) => bound <= LAST_PORT).sort((a, b) => a - b);
}

/** The highest port that no policy names. */
function unnamedPort(policies: readonly PolicyRecord[]): number | undefined {
  const named = [...portEntries(policies)].flatMap(({ port, endPort }) =>
    typeof port === 'number' ? { first: port, last: endPort ?? port } : [],
  );
  let port = LAST_PORT;
  for (const { first, last } of named.sort((a, b) => b.last - a.last)) {
    if (last < port) break;
    port = Math.min(port, first - 1);
  }
  return port > 0 ? port : undefined;
}

function* portEntries(policies: readonly PolicyRecord[]): Generator<PolicyPort> {
  for (const { ingress, egress } of policies) for (const { ports } of [...ingress, ...egress]) yield* ports;
}

function holds({ ipBlock }: PolicyPeer, addresses: readonly string[]): boolean {
  const cidr = ipBlock === undefined ? undefined : parseCidr(ipBlock.cidr);
  if (cidr === undefined || isMistake(cidr)) return false;
  return addresses.some((text) => {
    const address = parseAddress(text);
    return address?.family === cidr.family && isWithin(address.value, cidr);
  });
}

function byNumber(a: MatrixPort, b: MatrixPort): number {
  return a.port - b.port || a.protocol.localeCompare(b.protocol);
}
