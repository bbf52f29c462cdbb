/** The program of the pods with real sockets, on loopback addresses and in a network namespace. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { attempt } from '../../src/canary/attempts.ts';
import { type EchoServer, serveEcho } from '../../src/canary/echo-server.ts';
import { holdConnection } from '../../src/canary/held-connection.ts';
import { PodProgram } from '../../src/canary/pod-program.ts';
import { type PodLine, parsePodLine, RESULTS, type Target } from '../../src/canary/report-line.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** Returns a port that is free for TCP and UDP. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function echo(): Promise<{ server: EchoServer; port: number }> {
  const port = await freePort();
  const server = await serveEcho(port);
  ends.push(() => server.close());
  return { server, port };
}

/** Accepts connections and datagrams, and answers none. */
async function mute(): Promise<number> {
  const server = createServer((socket) => ends.push(() => socket.destroy())).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = createSocket('udp4').bind(port, '127.0.0.1');
  await once(socket, 'listening');
  ends.push(
    () => server.close(),
    () => socket.close(),
  );
  return port;
}

const PROTOCOLS = ['TCP', 'UDP'] as const;

describe.each(PROTOCOLS)('an attempt over %s', (protocol) => {
  it.each(['127.0.0.1', '::1'])('is answered by the echo at %s', async (address) => {
    const { port } = await echo();
    expect(await attempt(protocol, address, port)).toBe('answered');
  });

  it('is refused if nothing listens', async () => {
    expect(await attempt(protocol, '127.0.0.1', await freePort())).toBe('refused');
  });

  it('over TCP needs no data from the server once the connection opens', async () => {
    expect(await attempt(protocol, '127.0.0.1', await mute())).toBe(protocol === 'TCP' ? 'answered' : 'silent');
  });

  it('fails at an address that no pod can have', async () => {
    // Class E: the kernel has no route to it (RFC 1112 section 4).
    expect(['unreachable', 'failed']).toContain(await attempt(protocol, '255.255.255.255', 9));
  });
});

it('every attempt over UDP has a source port of its own, so that no two share a flow', async () => {
  const ports: number[] = [];
  const server = createSocket('udp4').bind(0, '127.0.0.1');
  ends.push(() => server.close());
  server.on('message', (message, { port, address }) => {
    ports.push(port);
    server.send(message, port, address);
  });
  await once(server, 'listening');
  for (let count = 0; count < 200; count++) await attempt('UDP', '127.0.0.1', server.address().port);
  expect(new Set(ports).size).toBe(200);
});

it('an attempt over UDP skips a source port that is in use', async () => {
  const seen = createSocket('udp4').bind(0, '127.0.0.1');
  ends.push(() => seen.close());
  const asked = once(seen, 'message');
  await once(seen, 'listening');
  const first = attempt('UDP', '127.0.0.1', seen.address().port);
  const [, { port }] = await asked;
  const taken = createSocket('udp4').bind(port + 1);
  ends.push(() => taken.close());
  await once(taken, 'listening');
  const { port: echoPort } = await echo();
  expect(await attempt('UDP', '127.0.0.1', echoPort)).toBe('answered');
  expect(await first).toBe('silent');
});

describe.each(PROTOCOLS)('an open connection over %s', (protocol) => {
  it('is used again and again', async () => {
    const { port } = await echo();
    const held = holdConnection(protocol, '127.0.0.1', port);
    ends.push(() => held.close());
    for (let question = 0; question < 3; question++) expect(await held.ask()).toBe('answered');
    expect(await Promise.all([held.ask(), held.ask()])).toEqual(['answered', 'answered']);
  });

  it('is opened as soon as a server listens', async () => {
    const port = await freePort();
    const held = holdConnection(protocol, '127.0.0.1', port);
    ends.push(() => held.close());
    expect(await held.ask()).toBe('refused');
    const server = await serveEcho(port);
    ends.push(() => server.close());
    expect(await held.ask()).toBe('answered');
  });
});

it('an open TCP connection that ends is closed and not opened again', async () => {
  const { server, port } = await echo();
  const held = holdConnection('TCP', '127.0.0.1', port);
  ends.push(() => held.close());
  await held.ask();
  server.close();
  expect(await held.ask()).toBe('closed');
});

it('an open UDP flow is refused when its server is gone', async () => {
  const { server, port } = await echo();
  const held = holdConnection('UDP', '127.0.0.1', port);
  ends.push(() => held.close());
  await held.ask();
  server.close();
  expect(['refused', 'silent']).toContain(await held.ask());
});

describe('the program of a pod', () => {
  const target = (id: string, port: number, more: Partial<Target> = {}): Target => ({
    id,
    address: '127.0.0.1',
    port,
    protocol: 'TCP',
    family: 'IPv4',
    held: false,
    interval: 50,
    ...more,
  });

  /** Runs the program until its lines satisfy the test. */
  async function run(listen: number | undefined, targets: readonly Target[], until: (lines: PodLine[]) => boolean) {
    const lines: PodLine[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const program = new PodProgram({ ...(listen === undefined ? {} : { listen }), targets }, (line) => {
      lines.push(line);
      if (until(lines)) resolve();
    });
    ends.push(() => program.stop());
    await program.start();
    await promise;
    return lines;
  }

  const resultsOf = (lines: readonly PodLine[], target: number) =>
    lines.flatMap(({ attempts }) => attempts.filter(([index]) => index === target).map((each) => RESULTS[each[3]]));

  it('probes each target on its schedule and writes lines that can be read again', async () => {
    const port = await freePort();
    const targets = [
      target('itself', port),
      target('udp', port, { protocol: 'UDP', held: true }),
      target('nobody', await freePort(), { interval: 200 }),
    ];
    const lines = await run(port, targets, (so) => [0, 1, 2].every((index) => resultsOf(so, index).length >= 5));
    expect(new Set(resultsOf(lines, 0))).toEqual(new Set(['answered']));
    expect(new Set(resultsOf(lines, 1))).toEqual(new Set(['answered']));
    expect(new Set(resultsOf(lines, 2))).toEqual(new Set(['refused']));
    expect(lines.map(({ line }) => line)).toEqual(lines.map((_, index) => index));
    for (const line of lines) expect(parsePodLine(JSON.stringify(line))).toEqual(line);
  });

  it('probes itself at an address of its own if it is given none', async () => {
    const port = await freePort();
    const { address: _, ...self } = target('self', port);
    const lines = await run(port, [self], (so) => resultsOf(so, 0).length >= 3);
    // A machine with only loopback addresses has none to offer.
    expect(['answered', 'failed']).toContain(resultsOf(lines, 0)[0]);
  });

  it('sends nothing more on a connection that has ended', async () => {
    const { server, port } = await echo();
    const lines = await run(undefined, [target('held', port, { held: true })], (so) => {
      const results = resultsOf(so, 0);
      if (results.length > 0) server.close();
      const closed = so.findIndex(({ attempts }) => attempts.some(([, , , result]) => RESULTS[result] === 'closed'));
      return closed >= 0 && so.length > closed + 2;
    });
    expect(resultsOf(lines, 0).at(-1)).toBe('closed');
  });

  it('does not start if its port is in use', async () => {
    const { port } = await echo();
    await expect(new PodProgram({ listen: port, targets: [] }, () => {}).start()).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });
});

it.each([
  ['a warning of the runtime', '(node:1) Warning: something'],
  ['another object', '{"line":0}'],
  ['null', 'null'],
  ['attempts that are none', '{"line":0,"now":1,"attempts":[[0,1]]}'],
  ['a negative number', '{"line":-1,"now":1,"attempts":[]}'],
])('%s is not a line of a pod', (_, text) => {
  expect(parsePodLine(text)).toBeUndefined();
});
