/** The ports on which a destination is tried. */
import { isMistake, parseAddress, parseCidr } from '../cluster/addresses.ts';
import type {
  Direction,
  PodRecord,
  PolicyPeer,
  PolicyPort,
  PolicyRecord,
  PolicyRule,
  Protocol,
} from '../cluster/records.ts';
import { matchesSelector } from '../cluster/selector.ts';
import { isBehind, targetOn } from '../cluster/service-ports.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import { isWithin } from './address-regions.ts';
import { LAST_PORT, type NumberedPort, namedPorts, portKey, portRange, unnamedPort } from './named-ports.ts';

export interface MatrixPort extends NumberedPort {
  /** The container port's name. */
  readonly name?: string;
  /** The Services that lead to it: `shop/backend:80`. */
  readonly services?: readonly string[];
  /** It stands for all ports that no policy names. */
  readonly other?: true;
}

/** A pod, or addresses outside, under one set of policies: the current ones or those before. */
export interface PortsView {
  readonly policies: readonly PolicyRecord[];
  /** Undefined for addresses outside. */
  readonly pod: PodRecord | undefined;
  readonly addresses: readonly string[];
}

/** The most ports to try on an end that declares none. */
const MOST_NAMED = 8;
const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

export class DestinationPorts {
  readonly #policies: readonly PolicyRecord[];
  readonly #services: readonly ServiceRecord[];
  /** A port that no policy names for any pod, by protocol. */
  readonly #other: ReadonlyMap<Protocol, number | undefined>;

  constructor(policies: readonly PolicyRecord[], services: readonly ServiceRecord[]) {
    this.#policies = policies;
    this.#services = services;
    const ranges = [...portEntries(policies)].flatMap(portRange);
    this.#other = new Map(
      PROTOCOLS.map((each) => [each, unnamedPort(ranges.filter(({ protocol }) => protocol === each))]),
    );
  }

  /**
   * Returns the container ports, and the ports to which Services send, because a container port is
   * only a declaration and may be missing. For a pod without either, returns those that its
   * policies name, and one that none names.
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

  /**
   * Returns the ports on which policies let pods reach these addresses, and one that none names.
   */
  ofAddresses(addresses: readonly string[]): readonly MatrixPort[] {
    return this.#named(
      this.#policies,
      'egress',
      (peers) => peers.length === 0 || peers.some((peer) => holds(peer, addresses)),
    );
  }

  /**
   * Returns further ports to try on an end, without which the matrix would hide a difference
   * between two sets of policies, or that the end is open on every port. These are all ports at
   * which the answer may change, and for each protocol one that stands for the rest.
   *
   * @param views of the end. With more than one, all these ports count; otherwise only the rest of
   * TCP
   * @param known the ports that are tried anyway
   */
  beyond(views: readonly PortsView[], known: readonly MatrixPort[]): readonly MatrixPort[] {
    const own = [...known.filter(({ other }) => !other), ...views.flatMap(({ pod }) => pod?.ports ?? [])];
    const ranges = views.flatMap((view) => concerning(view).flatMap((rule) => rule.ports.flatMap(portRange)));
    const protocols = views.length > 1 ? PROTOCOLS : PROTOCOLS.slice(0, 1);
    const found = protocols.flatMap((protocol): MatrixPort[] => {
      const ownNumbers = own.filter((each) => each.protocol === protocol).map(({ port }) => port);
      const named = ranges.filter((range) => range.protocol === protocol);
      const usual = this.#other.get(protocol);
      const other =
        usual !== undefined && !ownNumbers.includes(usual)
          ? usual
          : unnamedPort([...named, ...ownNumbers.map((port) => ({ first: port, last: port }))]);
      return [
        ...(views.length > 1 ? namedPorts(named, ownNumbers).map((port) => ({ port, protocol })) : []),
        ...(other === undefined ? [] : [{ port: other, protocol, other: true as const }]),
      ];
    });
    const titles = new Set(known.map(portTitle));
    return found.filter((port) => !titles.has(portTitle(port)));
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
    const other = this.#other.get('TCP');
    return other === undefined ? named : [...named, { port: other, protocol: 'TCP', other: true }];
  }
}

/** A port of a Service, and the pod's port to which it leads. */
export interface ServiceTarget {
  readonly servicePort: number;
  readonly serviceName: string | undefined;
  readonly target: MatrixPort;
}

/** Returns where a Service leads on this pod: nowhere if it does not select the pod. */
export function serviceTargets(service: ServiceRecord, pod: PodRecord): readonly ServiceTarget[] {
  if (!isBehind(service, pod)) return [];
  return service.ports.flatMap(({ name: serviceName, protocol, port: servicePort, targetPort }) => {
    const port = targetOn(pod, protocol, targetPort);
    return port === undefined ? [] : { servicePort, serviceName, target: { port, protocol } };
  });
}

/** Returns `TCP 80`, or `TCP other` for a port that stands for the rest. */
export function portTitle(port: MatrixPort): string {
  return port.other ? `${port.protocol} other` : portKey(port);
}

/**
 * Returns the ports whose answer may differ from that of the port before: a range of a policy
 * begins there, or ended at the port before.
 */
export function portBounds(policies: readonly PolicyRecord[]): readonly number[] {
  const bounds = new Set([1]);
  for (const { first, last } of [...portEntries(policies)].flatMap(portRange)) bounds.add(first).add(last + 1);
  return [...bounds].filter((bound) => bound <= LAST_PORT).sort((a, b) => a - b);
}

function* portEntries(policies: readonly PolicyRecord[]): Generator<PolicyPort> {
  for (const { ingress, egress } of policies) for (const { ports } of [...ingress, ...egress]) yield* ports;
}

/** Returns the rules that may apply to a destination, and perhaps some more. */
function concerning({ policies, pod, addresses }: PortsView): PolicyRule[] {
  const isMeant = (peer: PolicyPeer) =>
    peer.ipBlock !== undefined
      ? holds(peer, addresses)
      : pod !== undefined && (peer.podSelector === undefined || matchesSelector(peer.podSelector, pod.labels));
  return policies.flatMap(({ namespace, podSelector, ingress, egress }) => [
    ...(pod?.namespace === namespace && matchesSelector(podSelector, pod.labels) ? ingress : []),
    ...egress.filter(({ peers }) => peers.length === 0 || peers.some(isMeant)),
  ]);
}

function holds({ ipBlock }: PolicyPeer, addresses: readonly string[]): boolean {
  const cidr = ipBlock === undefined ? undefined : parseCidr(ipBlock.cidr);
  if (cidr === undefined || isMistake(cidr)) return false;
  return addresses.some((text) => {
    const address = parseAddress(text);
    return address?.family === cidr.family && isWithin(address.value, cidr);
  });
}

/** Orders by number. A port that stands for the rest comes last. */
export function byNumber(a: MatrixPort, b: MatrixPort): number {
  return Number(a.other ?? false) - Number(b.other ?? false) || a.port - b.port || a.protocol.localeCompare(b.protocol);
}
