/** The Service that a question to an agent means: the agent itself may not read Services. */
import type { ServiceRecord } from '../cluster/services.ts';
import { Ends } from '../explain/ends.ts';
import { FlowError } from '../explain/flow-error.ts';
import type { FlowQuestion } from '../telemetry/explain-route.ts';
import type { ClusterInput } from './cluster-input.ts';

/** The question with the Service along, where it is about one; as it is otherwise. */
export function withService(question: FlowQuestion, { snapshot, services }: ClusterInput): FlowQuestion {
  const service = serviceNamed(question.to, new Ends(snapshot, services));
  if (service === undefined) return question;
  const to = `service/${service.namespace}/${service.name}`;
  return { ...question, to, service: JSON.stringify(manifestOf(service)) };
}

function serviceNamed(to: string, ends: Ends): ServiceRecord | undefined {
  try {
    const named = ends.named(to);
    return named.kind === 'service' ? named.service : undefined;
  } catch (error) {
    // The agent may know a pod of that name.
    if (error instanceof FlowError) return undefined;
    throw error;
  }
}

/** What decides where its connections go. */
function manifestOf({ namespace, name, clusterIPs, headless, ports, selector }: ServiceRecord) {
  const spec = { selector, ports, clusterIPs: headless ? ['None'] : clusterIPs };
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name }, spec };
}
