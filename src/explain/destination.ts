/** If a pod and a Service share a name, a question about it means the one that has the port. */
import { type PodRecord, recordKey } from '../cluster/records.ts';
import type { ServicePort, ServiceRecord } from '../cluster/services.ts';
import { type Ends, type Named, POD, SERVICE } from './ends.ts';
import { NO_PORT } from './judgement.ts';
import type { PortQuery } from './port-query.ts';
import { flowPortText } from './words.ts';

export interface Destination {
  readonly named: Named;
  /** A sentence about the other object of that name; undefined if there is none. */
  readonly note?: string;
}

/**
 * Resolves a destination. If a pod and a Service share the name, returns the pod, unless only the
 * Service is known to have the port: pods need not declare their ports.
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
    const note = `Service ${name} has ${what}, the pod of that name does not: write ${POD}${name} to ask about the pod.`;
    return { named: { kind: 'service', service }, note };
  }
  const note = `There is a Service ${name} as well: write ${SERVICE}${name} to ask about it.`;
  return { named: { kind: 'pod', pod }, note };
}

/** Returns the Service's port that the question names, if it has it. */
export function portOfService({ ports }: ServiceRecord, { protocol, port }: PortQuery): ServicePort | undefined {
  return ports.find((each) =>
    typeof port === 'number'
      ? each.port === port && each.protocol === (protocol ?? 'TCP')
      : each.name === port && (protocol === undefined || each.protocol === protocol),
  );
}

/** Whether the pod declares the port, or a Service sends to it. */
function hasPort(ends: Ends, pod: PodRecord, { protocol, port }: PortQuery): boolean {
  if (port === NO_PORT) return true;
  if (typeof port === 'string')
    return pod.ports.some((each) => each.name === port && (protocol === undefined || each.protocol === protocol));
  const isAsked = (each: { readonly protocol: string; readonly port: number }) =>
    each.port === port && each.protocol === (protocol ?? 'TCP');
  return pod.ports.some(isAsked) || ends.portsSentTo(pod).some(isAsked);
}
