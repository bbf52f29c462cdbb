import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { TEXT, text } from '../../src/telemetry/route.ts';
import { GET_OK, get, type RawClient } from './http-client.ts';
import { client, logged, OK, route, serve } from './served.ts';

describe('a hostile client', () => {
  it('is cut off when it sends nothing', async () => {
    const { port } = await serve([OK], { request: 20, check: 5 });
    await client(port).closed;
  });

  it('is cut off when it sends its headers slowly', async () => {
    const { port } = await serve([OK], { request: 50, check: 5 });
    const slow = client(port).send('GET /ok HTTP/1.1\r\nHost: node\r\n');
    const trickle = setInterval(() => slow.send('X: y\r\n'), 5);
    await slow.closed;
    clearInterval(trickle);
  });

  it('is cut off when it keeps an idle connection', async () => {
    const { port } = await serve([OK], { idle: 1, request: 600_000 });
    const idle = client(port).send(GET_OK);
    await idle.sees('ok\n');
    await idle.closed;
  });

  it('is cut off when it does not read the response, which does not pile up in memory', async () => {
    let given = 0;
    const ended = Promise.withResolvers<void>();
    async function* endless() {
      try {
        for (;;) {
          given++;
          yield 'x'.repeat(100_000);
        }
      } finally {
        ended.resolve();
      }
    }
    const { port } = await serve([route('/endless', () => ({ status: 200, type: TEXT, body: endless() }))], {
      stalled: 100,
    });
    const deaf = client(port);
    deaf.socket.pause();
    deaf.send('GET /endless HTTP/1.1\r\nHost: node\r\n\r\n');
    await ended.promise;
    // The buffers of two sockets hold less.
    expect(given).toBeLessThan(500);
  });

  it('is answered and cut off when it sends a body, which is not read', async () => {
    const { port } = await serve([OK], { request: 600_000, idle: 600_000 });
    for (const header of ['Content-Length: 1000000', 'Transfer-Encoding: chunked']) {
      const sender = client(port).send(`POST /ok HTTP/1.1\r\nHost: node\r\n${header}\r\n\r\n`);
      await sender.closed;
      expect(sender.received).toContain('HTTP/1.1 405');
    }
  });

  it('is refused for endless headers', async () => {
    const { port } = await serve();
    const talker = client(port).send(`GET /ok HTTP/1.1\r\nHost: node\r\nX: ${'y'.repeat(10_000)}\r\n\r\n`);
    await talker.closed;
    expect(talker.received).toContain('HTTP/1.1 431');
  });

  it('is cut off when it sends what is not HTTP', async () => {
    const { port } = await serve();
    const other = client(port).send('\x16\x03\x01\x02\x00\x01\x00\x01\xfc');
    await other.closed;
    expect(other.received).toContain('HTTP/1.1 400');
  });

  it('is cut off when it sends a second request before the first response', async () => {
    let asked = 0;
    const { port } = await serve([
      route('/ok', () => {
        asked++;
        return text(200, 'ok');
      }),
    ]);
    const greedy = client(port).send(GET_OK.repeat(1000));
    await greedy.closed;
    expect(asked).toBe(1);
  });

  it('loses its own connections when it opens too many, and other clients keep theirs', async () => {
    const { port } = await serve([OK], { connections: 4 });
    const polite = client(port, '127.0.0.2').send(GET_OK);
    await polite.sees('ok\n');
    const crowd: RawClient[] = [];
    for (let i = 0; i < 20; i++) {
      const one = client(port, '127.0.0.3').send(GET_OK);
      await one.sees('ok\n');
      crowd.push(one);
    }
    await Promise.all(crowd.slice(0, 17).map(({ closed }) => closed));
    expect(crowd.slice(17).filter(({ socket }) => socket.destroyed)).toEqual([]);
    polite.received = '';
    polite.send(GET_OK);
    await polite.sees('ok\n');
    expect((await get(port, '/ok')).status).toBe(200);
  });

  it('loses its least recently used connection', async () => {
    const { port } = await serve([OK], { connections: 2 });
    const [first, second] = [client(port).send(GET_OK), client(port).send(GET_OK)];
    await Promise.all([first.sees('ok\n'), second.sees('ok\n')]);
    first.received = '';
    first.send(GET_OK);
    await first.sees('ok\n');
    const third = client(port).send(GET_OK);
    await second.closed;
    await third.sees('ok\n');
    expect(first.socket.destroyed).toBe(false);
  });

  it('causes no error when it leaves before the response', async () => {
    const asked = Promise.withResolvers<AbortSignal>();
    const answer = Promise.withResolvers<void>();
    const { port } = await serve([
      OK,
      route('/slow', async ({ signal }) => {
        asked.resolve(signal);
        await answer.promise;
        throw new Error('too late');
      }),
    ]);
    const hasty = client(port).send('GET /slow HTTP/1.1\r\nHost: node\r\n\r\n');
    const signal = await asked.promise;
    hasty.socket.destroy();
    await once(signal, 'abort');
    answer.resolve();
    expect((await get(port, '/ok')).status).toBe(200);
    expect(logged).toEqual([]);
  });
});
