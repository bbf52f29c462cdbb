/**
 * `/flows`: the flow log as server-sent events
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 *     event: flow        data: a FlowLine; sent again with the same id when its count has grown
 *                        or an end was named
 *     event: left-out    data: a LeftOut: what was not sent since the last one
 */
import type { FlowLog } from '../flows/flow-log.ts';
import { readFlowQuery } from '../flows/flow-query.ts';
import type { FlowReader } from '../flows/flow-reader.ts';
import { paced } from './paced.ts';
import { type Route, text } from './route.ts';

/** Most lines per part. Lines that a reader cannot take at once wait in the log. */
const PART = 64;
/**
 * Longest silence before a comment is sent, in ms, so that the connection does not count as
 * stalled; see Limits of http-server.ts.
 */
const KEEP_ALIVE = 10_000;
/** Least time between two `left-out` events to a reader, in ms. */
const LEFT_OUT = 1000;
/** Least time between two new readers, in ms. */
const PACE = 20;

export function flowRoute(log: FlowLog): Route {
  const turn = paced(async () => undefined, PACE);
  return {
    path: '/flows',
    summary: 'flows that were opened or denied, as server-sent events; ?verdict= pod= port= policy= last= follow=',
    handle: async ({ query: words, signal }) => {
      const { query, mistakes } = readFlowQuery(words);
      if (mistakes.length > 0) return text(400, mistakes.join('\n'));
      await turn();
      const reader = log.open(query);
      if (reader === undefined)
        return text(503, 'too many clients read flows already; try again when one of them has ended');
      if (signal.aborted) reader.close();
      else signal.addEventListener('abort', () => reader.close(), { once: true });
      return { status: 200, type: 'text/event-stream', body: eventsOf(reader, query.follow ?? true) };
    },
  };
}

async function* eventsOf(reader: FlowReader, follow: boolean): AsyncGenerator<string> {
  let isQuiet = false;
  let toldAt = Number.NEGATIVE_INFINITY;
  while (!reader.isClosed) {
    const events = reader.take(PART).map((line) => event('flow', line));
    const now = performance.now();
    const leftOut = follow && now - toldAt < LEFT_OUT ? undefined : reader.takeLeftOut();
    if (leftOut !== undefined) {
      events.push(event('left-out', leftOut));
      toldAt = now;
    }
    if (events.length > 0) yield events.join('');
    else if (!follow) return;
    else if (isQuiet) yield ':\n\n';
    isQuiet = events.length === 0 && !(await reader.more(KEEP_ALIVE));
  }
}

function event(type: string, value: object): string {
  return `event: ${type}\ndata: ${JSON.stringify(value)}\n\n`;
}
