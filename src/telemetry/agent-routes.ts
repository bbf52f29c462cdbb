/**
 * What the agent serves over HTTP: metrics and health to anyone who can reach the node. Questions
 * about flows and policies reveal who talks to whom, so they have an address of their own.
 */

import type { FlowLog } from '../flows/flow-log.ts';
import type { AgentView } from './agent-view.ts';
import { type Explain, explainRoute } from './explain-route.ts';
import { flowRoute } from './flow-stream.ts';
import type { Metrics } from './metrics.ts';
import { paced } from './paced.ts';
import { JSON_TYPE, type Reply, type Route, text } from './route.ts';
import { describeAge, statusOf } from './status.ts';

/** Loopback: open to those who may forward a port to the pod or run a program on the node. */
export const DEFAULT_QUERY_ADDRESS = '127.0.0.1:9465';

/**
 * Least time between two expensive answers, in ms. More frequent requests wait a little, because
 * the main thread must also bring changes of the cluster into force.
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
      summary:
        '200 while policies are in force, 503 otherwise; says since when or why not, and how old the knowledge is',
      handle: () => readiness(view),
    },
    {
      path: '/status',
      summary: 'versions, source, counts, queues and lag, as JSON',
      handle: async () => ({ status: 200, type: JSON_TYPE, body: `${await status()}\n` }),
    },
  ];
}

/** The sources of the answers of `queryRoutes`. */
export interface QuerySources {
  readonly flowLog: FlowLog;
  /** Without it, `/explain` is not served. */
  readonly explain?: Explain;
}

/** The routes of the query address. */
export function queryRoutes({ flowLog, explain }: QuerySources): readonly Route[] {
  return [flowRoute(flowLog), ...(explain === undefined ? [] : [explainRoute(explain)])];
}

/** Any answer shows that the main thread is alive. */
function health(view: AgentView): Reply {
  const { wanted, alive } = view.workers();
  const workers = audits(view) ? 'threads that judge copies' : 'queue workers';
  return text(alive >= wanted ? 200 : 503, `${alive} of ${wanted} ${workers} alive`);
}

function audits(view: AgentView): boolean {
  return view.enforcementMode?.()?.mode === 'audit';
}

/** Old knowledge does not end readiness: the last known policies stay in force. */
function readiness(view: AgentView): Reply {
  const readiness = view.readiness();
  const age = describeAge(view.source());
  return readiness.ready
    ? text(
        200,
        `${audits(view) ? 'audit mode: policies are judged and nothing is enforced,' : 'policies in force'} since ${readiness.since.toISOString()}; ${age}`,
      )
    : text(503, `not ready: ${readiness.reason}; ${age}`);
}
