import { setImmediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { FlowLog } from '../../src/flows/flow-log.ts';
import { queryRoutes } from '../../src/telemetry/agent-routes.ts';
import { flow, note } from '../flows/flows.ts';
import { get } from './http-client.ts';
import { client, serve } from './served.ts';

const ask = (query = '') => `GET /flows${query} HTTP/1.1\r\nHost: node\r\n\r\n`;

let log: FlowLog;
beforeEach(() => {
  log = new FlowLog({ readers: 2, lines: 1000, rate: 1e9, burst: 1e9, repeat: 0 });
});

const start = () => serve(queryRoutes({ flowLog: log }));

describe('/flows', () => {
  it('returns earlier flows as server-sent events, and ends without follow', async () => {
    for (const port of [1, 2, 3]) note(log, flow(port), 0);
    const { port } = await start();
    const { status, headers, body } = await get(port, '/flows?follow=no&last=1');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/event-stream');
    const line = { id: 3, first: '1970-01-01T00:00:00.000Z', last: '1970-01-01T00:00:00.000Z', count: 1 };
    expect(body).toBe(
      `event: flow\ndata: ${JSON.stringify({ ...line, ...flow(3), sourcePort: 1 })}\n\n` +
        `event: left-out\ndata: {"earlier":2,"flood":0,"slow":0}\n\n`,
    );
  });

  it('continues with new flows', async () => {
    const { port } = await start();
    note(log, flow(1), 0);
    const reader = client(port).send(ask('?verdict=deny'));
    await reader.sees('"id":1');
    note(log, flow(2, { verdict: 'allow' }), 0);
    note(log, flow(3), 0);
    log.publish(0);
    await reader.sees('"id":3');
    expect(reader.received).not.toContain('"id":2');
  });

  it('says what is wrong with a question', async () => {
    const { port } = await start();
    const { status, body } = await get(port, '/flows?port=http&colour=red');
    expect(status).toBe(400);
    expect(body).toBe(
      'port must be a port such as 5432 or 53/udp, not "http"\ncolour is unknown; there are verdict, pod, port, policy, last, follow\n',
    );
  });

  it('has a limited number of readers, and a reader that leaves makes room for another', async () => {
    note(log, flow(1), 0);
    const { port } = await start();
    const readers = [client(port).send(ask()), client(port).send(ask())];
    await Promise.all(readers.map((reader) => reader.sees('"id":1')));
    const refused = await get(port, '/flows');
    expect(refused.status).toBe(503);
    expect(refused.body).toMatch('too many clients read flows already');
    readers[0]?.socket.destroy();
    while ((await get(port, '/flows?follow=no')).status !== 200);
  });

  it('leaves no reader behind for a HEAD', async () => {
    const { port } = await start();
    for (let i = 0; i < 5; i++) expect((await get(port, '/flows', { method: 'HEAD' })).status).toBe(200);
  });

  it('buffers nothing for a reader that does not read, and tells it later how much it missed', async () => {
    const { port } = await start();
    note(log, flow(0), 0);
    const reader = client(port).send(ask());
    await reader.sees('"port":0,');
    reader.socket.pause();
    const before = process.memoryUsage();
    const LINES = 100_000;
    for (let i = 1; i <= LINES; i++) {
      note(log, flow(i), i);
      log.publish(i);
      // Lets the connection send as much as it takes.
      if (i % 500 === 0) await setImmediate();
    }
    const grown = process.memoryUsage().external - before.external;
    expect(grown).toBeLessThan(8 << 20);
    reader.socket.resume();
    await reader.sees(`"port":${LINES},`);
    const received = () => reader.received.match(/^data: {"id":/gm)?.length ?? 0;
    const missed = () =>
      [...reader.received.matchAll(/"slow":(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    while (received() + missed() <= LINES) {
      log.publish(LINES);
      await setImmediate();
    }
    expect(received() + missed()).toBe(LINES + 1);
    expect(missed()).toBeGreaterThan(LINES / 2);
  });

  it('ends when the server stops', async () => {
    const { server, port } = await start();
    note(log, flow(1), 0);
    const reader = client(port).send(ask());
    await reader.sees('"id":1');
    await server.stop();
    await reader.closed;
    expect(log.open({})).toBeDefined();
    expect(log.open({})).toBeDefined();
  });
});
