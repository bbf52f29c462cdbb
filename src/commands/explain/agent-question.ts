/** Adds the Service that a question means, because an agent itself may not read Services. */
import type { ServiceRecord } from '../../cluster/services.ts';
import { type Destination, destinationNamed } from '../../explain/destination.ts';
import { Ends, SERVICE } from '../../explain/ends.ts';
import { FlowError } from '../../explain/flow-error.ts';
import { parsePort } from '../../explain/port-query.ts';
import type { ExplainQuery } from '../../telemetry/explain-route.ts';
import type { ClusterInput } from '../shared/cluster-input.ts';

export interface AgentQuestion {
  readonly question: ExplainQuery;
  /** The note of a Destination, which the agent cannot give. */
  readonly note?: string;
}

/** Returns the question with its Service if it is about one, and unchanged otherwise. */
export function withService(question: ExplainQuery, { snapshot, services }: ClusterInput): AgentQuestion {
  const { named, note } = destinationOf(question, new Ends(snapshot, services)) ?? {};
  const noted = note === undefined ? {} : { note };
  if (named?.kind !== 'service') return { question, ...noted };
  const { service } = named;
  const to = `${SERVICE}${service.namespace}/${service.name}`;
  return { question: { ...question, to, service: JSON.stringify(manifestOf(service)) }, ...noted };
}

function destinationOf({ to, port }: ExplainQuery, ends: Ends): Destination | undefined {
  try {
    return destinationNamed(ends, to, parsePort(port));
  } catch (error) {
    // The agent may know a pod of that name. If not, it says what is wrong.
    if (error instanceof FlowError) return undefined;
    throw error;
  }
}

/** Returns the fields that decide where connections to the Service go. */
function manifestOf({ namespace, name, clusterIPs, headless, ports, selector }: ServiceRecord) {
  const spec = { selector, ports, clusterIPs: headless ? ['None'] : clusterIPs };
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name }, spec };
}
