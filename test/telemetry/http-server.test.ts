import { once } from 'node:events';
import { Agent } from 'node:http';
import { describe, expect, it } from 'vitest';
import { HttpServer } from '../../src/telemetry/http-server.ts';
import { TEXT, text } from '../../src/telemetry/route.ts';
import { GET_OK, get } from './http-client.ts';
import { client, log, logged, OK, route, serve } from './served.ts';

describe('the HTTP server', () => {
  it('answers GET with the response of the route', async () => {
    const { port } = await serve([
      route('/a', ({ query }) => ({ status: 201, type: 'a/b', body: `é ${query.get('x')}` })),
    ]);
    const answer = await get(port, '/a?x=1&y=?');
    expect(answer).toMatchObject({ status: 201, body: 'é 1' });
    expect(answer.headers).toMatchObject({ 'content-type': 'a/b', 'content-length': '4', 'cache-control': 'no-store' });
  });

  it('answers HEAD with the same headers and nothing else', async () => {
    const { port } = await serve();
    const [head, whole] = [await get(port, '/ok', { method: 'HEAD' }), await get(port, '/ok')];
    expect(head).toMatchObject({ status: 200, body: '' });
    const { date: _, ...headers } = head.headers;
    expect(whole.headers).toMatchObject(headers);
  });

  it('answers other paths with a list of its routes', async () => {
    const { port } = await serve([OK, route('/longer', () => text(200, ''))]);
    for (const path of ['/', '/OK', '/ok/', '//', '/ok%20', '*']) {
      const answer = await get(port, path);
      expect(answer.status, path).toBe(404);
      expect(answer.body).toBe('there is\n/ok      always well\n/longer  is /longer\n');
    }
  });

  it('refuses other methods, and says which are allowed', async () => {
    const { port } = await serve();
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const answer = await get(port, '/ok', { method });
      expect(answer.status, method).toBe(405);
      expect(answer.headers.allow).toBe('GET, HEAD');
    }
  });

  it('answers 500 if a route throws, logs the error and goes on', async () => {
    const { port } = await serve([
      OK,
      route('/throws', () => {
        throw new Error('at once');
      }),
      route('/rejects', () => Promise.reject(new Error('later'))),
    ]);
    const agent = new Agent({ keepAlive: true });
    for (const path of ['/throws', '/rejects']) {
      const answer = await get(port, path, { agent });
      expect(answer.status).toBe(500);
      expect(answer.body).not.toMatch(/at once|later/);
    }
    expect(await get(port, '/ok', { agent })).toMatchObject({ status: 200 });
    agent.destroy();
    expect(logged).toMatchObject([
      { path: '/throws', err: { message: 'at once' } },
      { path: '/rejects', err: { message: 'later' } },
    ]);
  });

  it('listens on all addresses of the machine, IPv4 and IPv6, and on a single IPv6 one', async () => {
    const everywhere = await serve([OK], {}, ':0');
    expect((await get(everywhere.port, '/ok')).status).toBe(200);
    expect((await fetch(`http://[::1]:${everywhere.port}/ok`)).status).toBe(200);
    const loopback = await serve([OK], {}, '[::1]:0');
    expect((await fetch(`http://[::1]:${loopback.port}/ok`)).status).toBe(200);
    await expect(get(loopback.port, '/ok')).rejects.toThrow('ECONNREFUSED');
  });

  it('reports a port in use and an address that is not this machine’s', async () => {
    const { port } = await serve();
    const start = (address: string) => new HttpServer({ address, routes: [OK], log }).start();
    await expect(start(`127.0.0.1:${port}`)).rejects.toMatchObject({
      code: 'IN_USE',
      message: `127.0.0.1:${port} is in use`,
    });
    await expect(start('192.0.2.1:9464')).rejects.toMatchObject({
      code: 'NOT_OURS',
      message: '192.0.2.1:9464 is not an address of this machine',
    });
    expect(() => new HttpServer({ address: 'nowhere', routes: [OK], log })).toThrow(
      expect.objectContaining({ code: 'INVALID_ADDRESS' }),
    );
    expect((await get(port, '/ok')).status).toBe(200);
  });
});

describe('a stop of the HTTP server', () => {
  it('ends idle connections, and refuses new ones', async () => {
    const { server, port } = await serve([OK], { stop: 600_000, request: 600_000 });
    const silent = await client(port).connected();
    const halfway = (await client(port).connected()).send('GET /ok');
    const kept = client(port).send(GET_OK);
    await kept.sees('ok\n');
    await server.stop();
    await Promise.all([silent.closed, halfway.closed, kept.closed]);
    await expect(get(port, '/ok')).rejects.toThrow('ECONNREFUSED');
  });

  it('waits for a response in progress', async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const { server, port } = await serve(
      [
        route('/slow', async () => {
          asked.resolve();
          await answer.promise;
          return text(200, 'at last');
        }),
      ],
      { stop: 600_000 },
    );
    const answered = get(port, '/slow');
    await asked.promise;
    const stopped = server.stop();
    answer.resolve();
    expect((await answered).body).toBe('at last\n');
    await stopped;
  });

  it('does not wait forever', async () => {
    const asked = Promise.withResolvers<void>();
    const { server, port } = await serve(
      [
        route('/never', () => {
          asked.resolve();
          return new Promise(() => {});
        }),
      ],
      { stop: 1 },
    );
    const answered = get(port, '/never');
    answered.catch(() => {});
    await asked.promise;
    await server.stop();
    await expect(answered).rejects.toThrow();
  });

  it('may come before the start, and twice', async () => {
    const server = new HttpServer({ address: '127.0.0.1:0', routes: [OK], log });
    await server.stop();
    await server.start();
    await server.stop();
    await server.stop();
  });
});

describe('a response in parts', () => {
  it('is sent part by part, and ends when the client leaves', async () => {
    const next = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    async function* events(signal: AbortSignal) {
      yield 'data: 1\n\n';
      await next.promise;
      yield 'data: 2\n\n';
      if (!signal.aborted) await once(signal, 'abort');
      ended.resolve();
    }
    const { port } = await serve([
      route('/events', ({ signal }) => ({ status: 200, type: 'text/event-stream', body: events(signal) })),
    ]);
    const listener = client(port).send('GET /events HTTP/1.1\r\nHost: node\r\n\r\n');
    await listener.sees('data: 1');
    expect(listener.received).toContain('text/event-stream');
    next.resolve();
    await listener.sees('data: 2');
    listener.socket.destroy();
    await ended.promise;
    expect(logged).toEqual([]);
  });

  it('ends when the server stops', async () => {
    async function* events(signal: AbortSignal) {
      yield 'data: 1\n\n';
      if (!signal.aborted) await once(signal, 'abort');
    }
    const { server, port } = await serve(
      [route('/events', ({ signal }) => ({ status: 200, type: 'text/event-stream', body: events(signal) }))],
      { stop: 600_000 },
    );
    const listener = client(port).send('GET /events HTTP/1.1\r\nHost: node\r\n\r\n');
    await listener.sees('data: 1');
    await server.stop();
    await listener.closed;
    expect(logged).toEqual([]);
  });

  it('breaks off and logs the error if a part fails', async () => {
    async function* broken() {
      yield 'one';
      throw new Error('no two');
    }
    const { port } = await serve([OK, route('/broken', () => ({ status: 200, type: TEXT, body: broken() }))]);
    const reader = client(port).send('GET /broken HTTP/1.1\r\nHost: node\r\n\r\n');
    await reader.closed;
    expect(logged).toMatchObject([{ err: { message: 'no two' } }]);
    expect((await get(port, '/ok')).status).toBe(200);
  });

  it('has no parts for HEAD', async () => {
    let begun = false;
    async function* parts() {
      begun = true;
      yield 'one';
    }
    const { port } = await serve([route('/parts', () => ({ status: 200, type: TEXT, body: parts() }))]);
    expect(await get(port, '/parts', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
    expect(begun).toBe(false);
  });
});
