/**
 * Turns names into flows as nodes see them: addresses instead of names, backends instead of
 * Services.
 */
import { type Family, familyOf } from '../cluster/addresses.ts';
import { didYouMean } from '../cluster/nearest.ts';
import { type PodRecord, recordKey } from '../cluster/records.ts';
import { targetOn } from '../cluster/service-ports.ts';
import type { ServicePort, ServiceRecord } from '../cluster/services.ts';
import { destinationNamed, portOfService } from './destination.ts';
import { type Ends, type Named, podEnd } from './ends.ts';
import { endName, type FlowEnd } from './flow-end.ts';
import { FlowError } from './flow-error.ts';
import { type FlowProtocol, NO_PORT } from './judgement.ts';
import type { PortQuery } from './port-query.ts';
import { and, flowPortText, namedPortsText } from './words.ts';

export interface FlowWay {
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  /** After Service translation. */
  readonly port: number;
}

/**
 * A question about a flow, and each way that the flow can take: one per backend and address family,
 * at least one.
 */
export interface FlowWays {
  readonly from: string;
  readonly to: string;
  readonly protocol: FlowProtocol;
  readonly port: number;
  readonly ways: readonly FlowWay[];
  /** As in Destination. */
  readonly note?: string;
}

/** Where a flow can arrive: a pod or another end, and the port there. */
interface Target {
  readonly at: Named;
  readonly port: number;
}

interface Targets {
  readonly protocol: FlowProtocol;
  /** As the sender uses it: before Service translation. */
  readonly port: number;
  readonly targets: readonly Target[];
}

/** @throws FlowError */
export function waysOf(ends: Ends, from: string, to: string, query: PortQuery): FlowWays {
  const source = ends.named(from);
  const { named: destination, note } = destinationNamed(ends, to, query);
  if (source.kind === 'service') {
    throw new FlowError('UNKNOWN_END', `${from} is a Service, which sends nothing; give a pod or an address`);
  }
  const { protocol, port, targets } =
    destination.kind === 'service'
      ? serviceTargets(ends, destination.service, query)
      : directTarget(destination, query);
  const ways = targets.flatMap((target) => waysTo(source, target));
  const names = { from: nameOf(source), to: nameOf(destination) };
  if (ways.length === 0) throw noWay(names, source, targets);
  return { ...names, protocol, port, ways, ...(note === undefined ? {} : { note }) };
}

function nameOf(named: Named): string {
  if (named.kind === 'pod') return recordKey(named.pod);
  return named.kind === 'end' ? endName(named.end) : `service/${named.service.namespace}/${named.service.name}`;
}

function waysTo(source: Named, { at, port }: Target): readonly FlowWay[] {
  return endsOf(at).flatMap((to) => {
    const from = endsOf(source).find((each) => familyOf(each.address) === familyOf(to.address));
    return from === undefined ? [] : [{ from, to, port }];
  });
}

/** Returns one end per address. */
function endsOf(named: Named): readonly FlowEnd[] {
  if (named.kind === 'pod') return named.pod.addresses.map((address) => podEnd(named.pod, address));
  return named.kind === 'end' ? [named.end] : [];
}

function noWay(names: { from: string; to: string }, source: Named, targets: readonly Target[]): FlowError {
  const [first] = targets;
  if (first === undefined) return new FlowError('NO_WAY', `no pod is behind ${names.to}`);
  for (const named of [source, first.at]) {
    if (endsOf(named).length > 0) continue;
    return new FlowError('NO_WAY', `${nameOf(named)} has no address: it is not running yet, or has ended`);
  }
  const [from, to] = [familiesOf(source), familiesOf(first.at)];
  return new FlowError(
    'NO_WAY',
    `${names.from} has only ${from} addresses and ${names.to} only ${to} ones: no packet can travel between them`,
  );
}

function familiesOf(named: Named): string {
  return [...new Set(endsOf(named).map(({ address }): Family => familyOf(address)))].join(' and ');
}

function directTarget(at: Named, { protocol, port }: PortQuery): Targets {
  if (typeof port === 'number') return { protocol: protocol ?? 'TCP', port, targets: [{ at, port }] };
  if (at.kind !== 'pod')
    throw new FlowError('BAD_PORT', `${nameOf(at)} is not a pod and has no port named ${port}; give its number`);
  const named = at.pod.ports.find(
    (each) => each.name === port && (protocol === undefined || each.protocol === protocol),
  );
  if (named === undefined) throw unknownPort(at.pod, protocol, port);
  return { protocol: named.protocol, port: named.port, targets: [{ at, port: named.port }] };
}

function unknownPort(pod: PodRecord, protocol: FlowProtocol | undefined, port: string): FlowError {
  const what = protocol === undefined ? 'port' : `${protocol} port`;
  const others = pod.ports.flatMap((each) => (each.name === port ? each.protocol : []));
  const names = pod.ports.flatMap(({ name }) => name ?? []);
  const hint = didYouMean(port, names) ?? (names.length === 0 ? 'It names none.' : `It has ${namedPortsText(pod)}.`);
  const instead = others.length > 0 ? `: it is a ${and(others)} port.` : `. ${hint}`;
  return new FlowError('BAD_PORT', `pod ${recordKey(pod)} has no ${what} named ${JSON.stringify(port)}${instead}`);
}

function serviceTargets(ends: Ends, service: ServiceRecord, query: PortQuery): Targets {
  const pods = ends.behind(service);
  const title = `Service ${service.namespace}/${service.name}`;
  if (pods.length === 0) throw new FlowError('NO_WAY', `no pod is behind ${title}: ${whyEmpty(service)}`);
  // A headless Service's name resolves to its pods: nothing is translated.
  if (service.headless && typeof query.port === 'number') {
    const { port, protocol = 'TCP' } = query;
    return { protocol, port, targets: pods.map((pod) => ({ at: { kind: 'pod', pod }, port })) };
  }
  if (query.port === NO_PORT)
    throw new FlowError('NO_WAY', `${title} translates ports, and ICMP has none; give one of its pods`);
  const port = servicePort(service, query, title);
  const targets = pods.flatMap((pod): Target[] => {
    const target = targetOn(pod, port.protocol, port.targetPort);
    return target === undefined ? [] : [{ at: { kind: 'pod', pod }, port: target }];
  });
  if (targets.length === 0) {
    throw new FlowError('NO_WAY', `no pod behind ${title} has the port named ${port.targetPort} that it sends to`);
  }
  return { protocol: port.protocol, port: port.port, targets };
}

function whyEmpty({ selector }: ServiceRecord): string {
  const labels = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  return labels.length === 0 ? 'it has no selector' : `no pod has ${labels.join(' and ')}`;
}

function servicePort(service: ServiceRecord, query: PortQuery, title: string): ServicePort {
  const found = portOfService(service, query);
  if (found !== undefined) return found;
  const { ports } = service;
  const { protocol, port } = query;
  const known = ports.map((each) => `${flowPortText(each.protocol, each.port)}${each.name ? ` (${each.name})` : ''}`);
  const wanted =
    typeof port === 'number' ? flowPortText(protocol ?? 'TCP', port) : `port named ${JSON.stringify(port)}`;
  throw new FlowError('BAD_PORT', `${title} has no ${wanted}; it has ${and(known) || 'none'}`);
}
