/**
 * Answers a question about a flow from what the agent knows: the table that its node judges by, and
 * the records it was compiled from.
 */
import { formatPath } from '../../cluster/field.ts';
import type { ServiceRecord } from '../../cluster/services.ts';
import { Explainer } from '../../explain/explain.ts';
import type { Answer } from '../../explain/explanation.ts';
import { FlowError } from '../../explain/flow-error.ts';
import { projectService } from '../../manifests/services.ts';
import { RuleTable } from '../../policy/rule-table.ts';
import type { Explained } from '../../telemetry/explain-route.ts';
import type { AnswerRequest } from './messages.ts';

export function answerTo({ question, snapshot, node, mode, table }: AnswerRequest): Explained {
  const { from, to, port, service } = question;
  try {
    const explainer = new Explainer({
      snapshot,
      services: service === undefined ? [] : [readService(service)],
      nodes: [node],
      mode,
      inForce: { node: node.name, table: new RuleTable(table) },
    });
    return { outcome: 'answer', answer: withServiceNotes(explainer.answer(from, to, port)) };
  } catch (error) {
    if (!(error instanceof FlowError)) throw error;
    const hint =
      error.code === 'UNKNOWN_END'
        ? ' (the agent knows no Services: name a pod, or give its address, or explain with --kubeconfig)'
        : '';
    return { outcome: 'mistake', message: `${error.message}${hint}` };
  }
}

/** @throws FlowError */
function readService(text: string): ServiceRecord {
  const { record, problems } = projectService(parse(text), 'default', ['IPv4', 'IPv6']);
  const [problem] = problems;
  if (record !== undefined && problem === undefined) return record;
  const what = problem === undefined ? 'it has no name' : `${formatPath(problem.path)}: ${problem.message}`;
  throw new FlowError('BAD_SERVICE', `service: ${what}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FlowError('BAD_SERVICE', `service: it is not JSON: ${(error as Error).message}`);
  }
}

/**
 * Adds a note where the destination is an unknown address. The agent may not list Services, so the
 * address may be a Service's, and its packets may reach a pod.
 */
function withServiceNotes(answer: Answer): Answer {
  const ways = answer.ways.map((way) => {
    if (way.to.kind !== 'address') return way;
    const note = `No pod and no node has the address ${way.to.address}. If it is a Service's, its translation is not known here, and this answer does not hold for packets to it: ask for a pod behind it, or explain with --kubeconfig.`;
    return { ...way, notes: [note, ...way.notes] };
  });
  return { ...answer, ways };
}
