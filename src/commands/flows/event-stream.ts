/**
 * Reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far
 * as an agent sends them.
 */

import { UnavailableError } from '../shared/exit-code.ts';

/** Longest event, in UTF-16 code units; an agent's have a few thousand. */
const LONGEST = 2 ** 20;

export interface ServerEvent {
  readonly type: string;
  readonly data: string;
}

/**
 * Yields events in the groups in which they arrived. Leaves out one that the end of the stream cuts
 * off.
 * @throws UnavailableError for an event without end
 */
export async function* eventsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<readonly ServerEvent[]> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of body) {
    const blocks = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
    rest = blocks.pop() ?? '';
    if (rest.length > LONGEST) {
      throw new UnavailableError(`the server is not a podfence agent: an event has more than ${LONGEST} characters`);
    }
    const events = blocks.map(readEvent).filter(({ data }) => data !== '');
    if (events.length > 0) yield events;
  }
}

function readEvent(block: string): ServerEvent {
  const fields = block.split('\n').map((line) => /^(\w+): ?(.*)$/s.exec(line) ?? []);
  const values = (name: string) => fields.flatMap(([, field, value = '']) => (field === name ? value : []));
  return { type: values('event').at(-1) ?? 'message', data: values('data').join('\n') };
}
