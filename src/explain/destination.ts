/** Whom a question about a flow means where a pod and a Service have the same name: the one that has the port. */
import { type PodRecord, recordKey } from '../cluster/records.ts';
import type { ServicePort, ServiceRecord } from '../cluster/services.ts';
import { type Ends, type Named, POD, SERVICE } from './ends.ts';
import { NO_PORT } from './judgement.ts';
import type { PortQuery } from './port-query.ts';
import { flowPortText } from './words.ts';

export interface Destination {
  readonly named: Named;
  /** A sentence about the other one of that name; undefined where there is none. */
  readonly note?: string;
}

/**
 * A Service only where it has the port and the pod is not known to: container ports are a declaration that need not be there.
 * @param text as Ends.named reads it
 * @throws FlowError UNKNOWN_END
 */
export function destinationNamed(ends: Ends, text: string, query: PortQuery): Destination {
  const shared = ends.sharedName(text);
  if (shared === undefined) return { named: ends.named(text) };
  const { pod, service } = shared;
  const name = recordKey(pod);
  const servicePort = service.headless ? undefined : portOfService(service, query);
  if (servicePort !== undefined && !hasPort(ends, pod, query)) {
    const what = flowPortText(servicePort.protocol, servicePort.port);
    const note = `The Service ${name} has ${what}, the Pod of that name has not: ${POD}${name} asks about the Pod.`;
    return { named: { kind: 'service', service }, note };
  }
  const note = `There is a Service ${name} as well: ${SERVICE}${name} asks about it.`;
  return { named: { kind: 'pod', pod }, note };
}

/** The port of a Service that a question is about, if it has it. */
export function portOfService({ ports }: ServiceRecord, { protocol, port }: PortQuery): ServicePort | undefined {
  return ports.find((each) =>
    typeof port === 'number'
      ? each.port === port && each.protocol === (protocol ?? 'TCP')
      : each.name === port && (protocol === undefined || each.protocol === protocol),
  );
}

/** By its own word, or because a Service sends there. */
function hasPort(ends: Ends, pod: PodRecord, { protocol, port }: PortQuery): boolean {
  if (port === NO_PORT) return true;
  if (typeof port === 'string')
    return pod.ports.some((each) => each.name === port && (protocol === undefined || each.protocol === protocol));
  const isAsked = (each: { readonly protocol: string; readonly port: number }) =>
    each.port === port && each.protocol === (protocol ?? 'TCP');
  return pod.ports.some(isAsked) || ends.portsSentTo(pod).some(isAsked);
}
