/** Real packets, and what the real agent reports of them at /flows and by `podfence flows`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { close, SOCK_RAW } from '../../src/sys/libc.ts';
import { sendTo, socketAddress } from '../../src/sys/sockets.ts';
import { pod, policy } from '../kube/objects.ts';
import { endWithTest } from '../own.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld, CLIENT, NODE } from './agent-world.ts';
import { open, tcpSegment } from './denied-traffic.ts';
import { flowLines, PATIENCE, QUERIES, seenFlow } from './flow-lines.ts';
import { getIn } from './http-in-netns.ts';
import { app, FRIEND_ALLOWED, serverHears } from './policies.ts';
import { CLI, type RunningAgent } from './running-agent.ts';

const IPPROTO_TCP = 6;
const SYN = 0x02;
const CLIENT_ALLOWED = serverHears('client', app('client'), [{ port: 7001 }, { port: 7002, protocol: 'UDP' }]);
/** Its second rule is the one that allows. */
const CLIENT_OUT = policy('shop', 'client-out', {
  podSelector: { matchLabels: { app: 'client' } },
  policyTypes: ['Egress'],
  egress: [{ to: [app('nobody')] }, { to: [app('server')] }],
});
const POLICIES = [FRIEND_ALLOWED, CLIENT_ALLOWED, CLIENT_OUT];

const podEnd = (name: string, address: string) => ({ kind: 'pod', namespace: 'shop', name, address, node: NODE });
const SERVER_END = podEnd('server', '10.244.1.1');
const CLIENT_END = podEnd('client', '10.244.1.2');
const STRANGER_END = podEnd('stranger', '10.244.1.5');

describeAsRoot('Flows of a running agent', () => {
  let world: AgentWorld;
  let agent: RunningAgent;
  beforeAll(async () => {
    world = await AgentWorld.start(POLICIES);
    agent = await world.startAgent();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  /** Sends segments from these source ports to these ports of the server. */
  function sendSyns(from: string, ports: readonly (readonly [source: number, destination: number])[]): void {
    const host = world.lab.pod(from);
    const fd = open(host, SOCK_RAW, IPPROTO_TCP);
    const addresses = { from: host.addresses[0] ?? '', to: SERVER_END.address };
    const target = socketAddress(addresses.to, 0);
    for (const [source, destination] of ports) sendTo(fd, tcpSegment(addresses, source, destination, SYN), 0, target);
    close(fd);
  }

  const ask = (query?: string) => flowLines(world.node, query);
  const seen = (line: object, query?: string) => seenFlow(world.node, line, query);

  const command = (...flags: readonly string[]) =>
    world.lab.exec(world.node, [process.execPath, CLI, 'flows', ...flags]);

  test('an allowed flow has the names of both ends, and for each direction the policy and rule that allow it', async () => {
    using client = new Connections(world.lab, 'shop/client', 'shop/server', 7001);
    await client.flow();
    const line = await seen({ protocol: 'TCP', port: 7001 });
    expect(line).toMatchObject({
      ...{ verdict: 'allow', direction: 'egress', reason: 'allowed-by-policy', count: 1 },
      ...{ from: CLIENT_END, to: SERVER_END, sourcePort: client.sourcePorts.tcp },
      policies: [
        { direction: 'egress', namespace: 'shop', name: 'client-out', rule: 2, field: 'spec.egress[1]' },
        { direction: 'ingress', namespace: 'shop', name: 'client', rule: 1, field: 'spec.ingress[0]' },
      ],
    });
    await seen({ protocol: 'UDP', port: 7002, verdict: 'allow' });
  });

  test('a denied flow has the policies that isolate the pod, and every repeat raises its count', async () => {
    sendSyns(
      'shop/stranger',
      [41_000, 41_001, 41_002, 41_002].map((source) => [source, 6000]),
    );
    const line = await seen({ port: 6000, count: 4 });
    expect(line).toMatchObject({
      ...{ verdict: 'deny', direction: 'ingress', reason: 'ingress-denied', protocol: 'TCP' },
      ...{ from: STRANGER_END, to: SERVER_END, sourcePort: 41_002 },
    });
    expect(line.policies).toEqual([
      { direction: 'ingress', namespace: 'shop', name: 'client', rule: null, field: null },
      { direction: 'ingress', namespace: 'shop', name: 'friend', rule: null, field: null },
    ]);
    expect((await ask('port=6000')).lines).toHaveLength(1);
  });

  test('podfence flows shows them as a table, filtered by verdict, pod, port and policy', async () => {
    sendSyns('shop/client', [[42_000, 6001]]);
    await seen({ port: 6001 });
    const { code, stdout, stderr } = await command('--pod', 'shop/client');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [head, ...lines] = stdout.trimEnd().split('\n');
    expect(head).toMatch(/^TIME +VERDICT +FROM +TO +PORT +DIRECTION +COUNT +BY$/);
    expect(lines.map((line) => line.split(/ {2,}/).slice(1)).sort()).toEqual([
      ...[7001, 7002].map((port) => [
        ...['allow', 'shop/client', 'shop/server', port === 7001 ? '7001/tcp' : '7002/udp', 'egress, ingress', '1'],
        'shop/client-out egress rule 2, shop/client ingress rule 1',
      ]),
      [
        ...['deny', 'shop/client', 'shop/server', '6001/tcp', 'ingress', '1'],
        'ingress-denied: shop/client, shop/friend',
      ],
    ]);
    const ports = async (...flags: readonly string[]) =>
      (await command('--json', ...flags)).stdout
        .split('\n')
        .flatMap((line) => (line === '' ? [] : JSON.parse(line).port));
    expect((await ports('--verdict', 'deny')).sort()).toEqual([6000, 6001]);
    expect(await ports('--port', '7002/udp')).toEqual([7002]);
    expect((await ports('--policy', 'shop/client-out')).sort()).toEqual([7001, 7002]);
    expect(await ports('--policy', 'shop/client-out', '--verdict', 'deny')).toEqual([]);
  });

  test('podfence flows --follow continues with new flows until Ctrl-C', async () => {
    const flags = ['flows', '--follow', '--last', '0', '--json', '--port', '6002'];
    const child = world.node.netns.run(() =>
      spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, CLI, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] }),
    );
    endWithTest(() => child.kill('SIGKILL'));
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    const ended = once(child, 'close');
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value ?? '');
    const attempts = setInterval(() => sendSyns('shop/stranger', [[43_000, 6002]]), 10);
    endWithTest(() => clearInterval(attempts));
    const first = await next();
    expect(first).toMatchObject({ port: 6002, verdict: 'deny', from: STRANGER_END });
    const again = await next();
    clearInterval(attempts);
    expect(again.id).toBe(first.id);
    expect(again.count).toBeGreaterThan(first.count);
    child.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
    expect(said).toBe('');
  });

  test('a revoked flow is reported in its opening direction, whichever side sends', async () => {
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7003);
    await friend.flow();
    await world.change(agent, [CLIENT_ALLOWED, CLIENT_OUT]);
    await expectCut(friend);
    const revoked = { reason: 'revoked', from: podEnd('friend', '10.244.1.3'), to: SERVER_END, direction: 'ingress' };
    await seen({ ...revoked, protocol: 'TCP', port: 7003 });
    await seen({ ...revoked, protocol: 'UDP', port: 7004 });
    const { lines } = await ask('pod=shop/friend');
    expect(lines.filter(({ from }) => from.address === SERVER_END.address)).toEqual([]);
    await world.change(agent, POLICIES);
  });

  test('names are those of the time, even if the address later belongs to another pod', async () => {
    sendSyns('shop/client', [[44_000, 6003]]);
    await seen({ port: 6003, from: CLIENT_END });
    await world.change(agent, POLICIES, {
      without: [CLIENT],
      others: [pod('shop', 'heir', { ip: CLIENT_END.address })],
    });
    sendSyns('shop/client', [[44_000, 6003]]);
    await seen({ port: 6003, from: podEnd('heir', CLIENT_END.address), count: 1 });
    await seen({ port: 6003, from: CLIENT_END, count: 1 });
    await world.change(agent, POLICIES);
  });

  test('a flow of a pod whose record comes late gains its name, not that of a later pod with its address', async () => {
    const late = (name: string, started: Date) =>
      pod('shop', name, { ip: CLIENT_END.address, started: started.toISOString() });
    await world.change(agent, POLICIES, { without: [CLIENT] });
    sendSyns('shop/client', [[40_091, 7091]]);
    const { id, first } = await seen({ from: { kind: 'address', address: CLIENT_END.address }, port: 7091 });
    await world.change(agent, POLICIES, {
      without: [CLIENT],
      others: [late('after', new Date(Date.parse(first) + 60_000))],
    });
    expect((await ask('port=7091')).lines).toMatchObject([{ id, from: { kind: 'address' } }]);
    await world.change(agent, POLICIES, {
      without: [CLIENT],
      others: [late('late', new Date(Date.parse(first) - 60_000))],
    });
    expect((await ask('port=7091')).lines).toMatchObject([{ id, count: 1, from: podEnd('late', CLIENT_END.address) }]);
    await world.change(agent, POLICIES);
  });

  test('are reported on the loopback address and nowhere else', async () => {
    const address = world.node.addresses.find((each) => !each.startsWith('127.')) ?? '';
    await expect(getIn(world.node, { ...QUERIES, address }, '/flows?follow=no')).rejects.toThrow('ECONNREFUSED');
    expect((await agent.get('/flows')).status).toBe(404);
  });

  test('of a flood some are logged and all others counted, and allowed flows are reported all the same', async () => {
    const denied = async () => (await agent.status()).packets.denied;
    const told = async () => {
      const { lines, leftOut } = await ask('verdict=deny');
      const counts = [...lines.map(({ count }) => count), ...leftOut.map(({ flood }) => flood)];
      return { lines: lines.length, events: counts.reduce((sum, count) => sum + count, 0) };
    };
    const before = { denied: await denied(), events: (await told()).events };
    const flood = Array.from({ length: 40_000 }, (_, i) => [1024 + (i % 60_000), 10_000 + (i % 50_000)] as const);
    sendSyns('shop/stranger', flood);
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7005);
    await friend.flow();
    await seen({ port: 7005, verdict: 'allow' });
    // Some of the flood may be lost before it is judged; all that was judged must be accounted for.
    const deadline = performance.now() + PATIENCE;
    for (;;) {
      const [judged, { events }] = [(await denied()) - before.denied, await told()];
      if (judged > 10_000 && events - before.events === judged && (await denied()) - before.denied === judged) break;
      if (performance.now() > deadline) expect(events - before.events).toBe(judged);
    }
    expect((await told()).lines).toBeLessThan(2048);
  });
});
