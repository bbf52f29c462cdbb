/**
 * `/explain`: why a flow is allowed or denied, as JSON. The answer is an Answer of
 * explain/explanation.ts.
 */
import { setTimeout } from 'node:timers/promises';
import type { Answer } from '../explain/explanation.ts';
import { JSON_TYPE, type Route, text } from './route.ts';

export interface ExplainQuery {
  readonly from: string;
  readonly to: string;
  readonly port: string;
  /**
   * A core/v1 Service, as JSON, that `to` may name: the agent knows only Services that come with a
   * question.
   */
  readonly service?: string;
}

export type Explained =
  | { readonly outcome: 'answer'; readonly answer: Answer }
  /** The question is invalid. */
  | { readonly outcome: 'mistake'; readonly message: string }
  | { readonly outcome: 'not-ready'; readonly message: string };

/** @param signal aborted when the client disconnects or the server stops */
export type Explain = (question: ExplainQuery, signal: AbortSignal) => Explained | Promise<Explained>;

/**
 * Pause between two answers, in ms: each costs the main thread time, and changes of the cluster
 * come first.
 */
const PACE = 20;

export function explainRoute(explain: Explain): Route {
  let free: Promise<unknown> = Promise.resolve();
  const turn = (): Promise<unknown> => {
    const mine = free;
    free = mine.then(() => setTimeout(PACE, undefined, { ref: false }));
    return mine;
  };
  return {
    path: '/explain',
    summary: 'why a flow is allowed or denied, as JSON: ?from=NS/POD&to=NS/POD&port=5432/tcp',
    handle: async ({ query, signal }) => {
      const [from, to, port] = [query.get('from'), query.get('to'), query.get('port')];
      if (from === null || to === null || port === null) return text(400, 'give from, to and port');
      await turn();
      if (signal.aborted) return text(503, 'too late');
      const service = query.get('service');
      const explained = await explain({ from, to, port, ...(service === null ? {} : { service }) }, signal);
      switch (explained.outcome) {
        case 'answer':
          return { status: 200, type: JSON_TYPE, body: `${JSON.stringify(explained.answer)}\n` };
        case 'mistake':
          return text(400, explained.message);
        case 'not-ready':
          return text(503, explained.message);
      }
    },
  };
}
