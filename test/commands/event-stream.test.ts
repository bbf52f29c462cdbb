import { expect, test } from 'vitest';
import { eventsOf } from '../../src/commands/flows/event-stream.ts';

async function read(...parts: readonly string[]) {
  async function* bytes() {
    for (const part of parts) yield Buffer.from(part, 'latin1');
  }
  const batches = [];
  for await (const events of eventsOf(bytes())) batches.push(events.map(({ type, data }) => `${type}: ${data}`));
  return batches;
}

test('events that arrive together are returned together, with their type and data', async () => {
  expect(await read('event: a\ndata: 1\n\ndata: 2\n\n', 'event:b\ndata:3\ndata: 4\n\n')).toEqual([
    ['a: 1', 'message: 2'],
    ['b: 3\n4'],
  ]);
});

test('chunks may end anywhere, comments are ignored, and an incomplete last event is dropped', async () => {
  const text = Buffer.from('event: a\ndata: é\n\n:\n\n: still here\n\nevent: a\ndata: 2\n\ndata: 3\n').toString(
    'latin1',
  );
  expect(await read(...text)).toEqual([['a: é'], ['a: 2']]);
});
