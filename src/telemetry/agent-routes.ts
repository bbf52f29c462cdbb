/**
 * What the agent serves over HTTP: metrics and health to whoever can reach the node, questions about its flows and policies, which tell who talks to whom, on
 * an address of their own.
 */

import type { FlowLog } from '../flows/flow-log.ts';
import type { AgentView } from './agent-view.ts';
import { type Explain, explainRoute } from './explain-route.ts';
import { flowRoute } from './flow-stream.ts';
import type { Metrics } from './metrics.ts';
import { paced } from './paced.ts';
import { JSON_TYPE, type Reply, type Route, text } from './route.ts';
import { describeAge, statusOf } from './status.ts';

/** Loopback: whoever may forward a port to the pod, or run something on the node, may ask. */
export const DEFAULT_QUERY_ADDRESS = '127.0.0.1:9465';

/**
 * The least time between two answers that cost something, in ms: whoever asks more often waits a little, and the main thread has
 * changes of the cluster to bring into force.
 */
const PACE = 100;

export function agentRoutes(view: AgentView, metrics: Metrics): readonly Route[] {
  const render = paced(() => metrics.render(), PACE);
  const status = paced(async () => JSON.stringify(statusOf(view, metrics.lastChange), undefined, 2), PACE);
  return [
    {
      path: '/metrics',
      summary: 'counters and gauges for Prometheus',
      handle: async () => ({ status: 200, type: metrics.contentType, body: await render() }),
    },
    {
      path: '/healthz',
      summary: '200 while the agent and its queue workers are alive, 503 otherwise',
      handle: () => health(view),
    },
    {
      path: '/readyz',
      summary: '200 while policies are in force, 503 otherwise; since when or why not, and how old the knowledge is',
      handle: () => readiness(view),
    },
    {
      path: '/status',
      summary: 'versions, source, counts, queues and lag, as JSON',
      handle: async () => ({ status: 200, type: JSON_TYPE, body: `${await status()}\n` }),
    },
  ];
}

/** What can answer the questions of `queryRoutes`. */
export interface QuerySources {
  readonly flowLog: FlowLog;
  /** Without it flows are told, not explained. */
  readonly explain?: Explain;
}

/** Of the listener for questions. */
export function queryRoutes({ flowLog, explain }: QuerySources): readonly Route[] {
  return [flowRoute(flowLog), ...(explain === undefined ? [] : [explainRoute(explain)])];
}

/** That there is an answer says that the main thread is alive. */
function health(view: AgentView): Reply {
  const { wanted, alive } = view.workers();
  const workers = audits(view) ? 'threads that judge copies' : 'queue workers';
  return text(alive >= wanted ? 200 : 503, `${alive} of ${wanted} ${workers} alive`);
}

function audits(view: AgentView): boolean {
  return view.enforcementMode?.()?.mode === 'audit';
}

/** Old knowledge is no reason not to be ready: the policies known last are in force. */
function readiness(view: AgentView): Reply {
  const readiness = view.readiness();
  const age = describeAge(view.source());
  return readiness.ready
    ? text(
        200,
        `${audits(view) ? 'audit mode: policies judged, and nothing enforced,' : 'policies in force'} since ${readiness.since.toISOString()}; ${age}`,
      )
    : text(503, `not ready: ${readiness.reason}; ${age}`);
}
