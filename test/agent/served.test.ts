/** What the real process serves about itself agrees with the traffic. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { close, SOCK_DGRAM, SOCK_NONBLOCK, socket } from '../../src/sys/libc.ts';
import { familyOf, sendTo, socketAddress } from '../../src/sys/sockets.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { lint } from '../telemetry/exposition.ts';
import { AgentWorld, NODE } from './agent-world.ts';
import { CLIENT_ALLOWED, FRIEND_ALLOWED } from './policies.ts';
import type { RunningAgent } from './running-agent.ts';

describeAsRoot('What the agent serves', () => {
  let world: AgentWorld;
  let agent: RunningAgent;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED, CLIENT_ALLOWED]);
    agent = await world.startAgent('--queues', '2', '--flow-capacity', '1000');
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  /** Sends one datagram from each of `count` fresh ports. */
  function sendDatagrams(from: string, count: number): void {
    const { netns } = world.lab.pod(from);
    const target = world.lab.pod('shop/server').addresses[0] ?? '';
    for (let i = 0; i < count; i++) {
      const fd = netns.run(() => socket(familyOf(target), SOCK_DGRAM | SOCK_NONBLOCK, 0));
      sendTo(fd, new Uint8Array(8), 0, socketAddress(target, 9000));
      close(fd);
    }
  }

  test('every datagram is counted once, with its verdict and reason, the same in /metrics and /status', async () => {
    sendDatagrams('shop/friend', 30);
    sendDatagrams('shop/stranger', 70);
    const status = await agent.shows('a hundred packets', ({ packets }) => packets.judged >= 100);
    // The contents of the flow tables are reported a little later.
    await agent.shows('thirty flows', ({ flows }) => flows.tracked >= 30);
    expect(status.packets).toEqual({
      ...{ judged: 100, allowed: 30, wouldBeDenied: 0, denied: 70, offloaded: 30 },
      deniedBy: { 'ingress-denied': 70 },
    });
    expect(status.flows).toMatchObject({ capacity: 2000, evicted: 0, rejudged: 0, revoked: 0 });
    expect(status.workers).toEqual({ wanted: 2, alive: 2, restarts: 0 });
    expect(
      status.queues.map(({ waiting, droppedByKernel, droppedByUser }) => [waiting, droppedByKernel, droppedByUser]),
    ).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);

    const metrics = await agent.metrics();
    const packets = (labels: Record<string, string>) => metrics.sum('podfence_packets_total', labels);
    expect(packets({})).toBe(100);
    expect(packets({ verdict: 'allow', reason: 'allowed-by-policy' })).toBe(30);
    expect(packets({ direction: 'ingress', verdict: 'deny', reason: 'ingress-denied' })).toBe(70);
    expect(metrics.sum('podfence_verdict_latency_seconds_count')).toBe(100);
    expect(metrics.sum('podfence_offloaded_packets_total')).toBe(30);
    expect(metrics.sum('podfence_flows_inserted_total')).toBe(30);
    expect(metrics.sum('podfence_flows', { protocol: 'udp' })).toBe((await agent.status()).flows.tracked);
    expect(metrics.sum('podfence_flow_table_capacity')).toBe(2000);
    expect(metrics.sum('podfence_workers', { state: 'alive' })).toBe(2);
  });

  test('changes and revoked connections are shown', async () => {
    using client = new Connections(world.lab, 'shop/client', 'shop/server', 7001);
    await client.flow();
    const { generation } = (await agent.status()).enforced;
    await world.change(agent, [FRIEND_ALLOWED]);
    await expectCut(client);
    const { enforced, flows, lag, packets } = await agent.status();
    expect(enforced.generation).toBe(generation + 1);
    expect(lag.lastChange).toMatchObject({ records: 1 });
    expect(flows.revoked).toBe(2);
    expect(packets.deniedBy.revoked).toBeGreaterThan(0);
    const metrics = await agent.metrics();
    expect(metrics.sum('podfence_flows_revoked_total')).toBe(2);
    expect(metrics.sum('podfence_rule_table_generation')).toBe(enforced.generation);
    // The first change is what existed at the start, which is no event.
    expect(metrics.sum('podfence_event_to_enforcement_seconds_count')).toBe(agent.changesInForce.length - 1);
    expect(metrics.sum('podfence_compile_duration_seconds_count')).toBe(agent.changesInForce.length);
  });

  test('the cluster is described as the API server has it', async () => {
    const { node, source, enforced, ready, mode } = await agent.status();
    expect({ node, ready }).toEqual({ node: NODE, ready: true });
    const { steering } = await agent.logged('by which rules', ({ msg }) => msg === 'enforcing');
    expect(mode).toMatchObject({ mode: 'enforce', steering, fail: 'closed', offload: true, deny: 'drop' });
    expect(source).toMatchObject({ type: 'kubernetes', location: await world.api.call('url') });
    expect(Object.fromEntries(source.kinds.map(({ kind, records }) => [kind, records]))).toEqual({
      Namespace: 2,
      Pod: 5,
      NetworkPolicy: 1,
      Node: 0,
    });
    expect(enforced).toMatchObject({ policies: 1, isolatedEndpoints: 1, isolatedAddresses: 1 });
    const metrics = await agent.metrics();
    expect(metrics.sum('podfence_watch_records', { kind: 'Pod' })).toBe(5);
    expect(metrics.sum('podfence_watch_open')).toBe(4);
    expect(metrics.sum('podfence_isolated_endpoints')).toBe(1);
  });

  test('a full flow table shows what it evicts', async () => {
    // They share their addresses, so that they are in one queue, whose table has room for a
    // thousand.
    sendDatagrams('shop/friend', 1200);
    await agent.shows('evictions', ({ flows }) => flows.evicted > 100);
    expect((await agent.metrics()).sum('podfence_flows_evicted_total', { worth: 'unreplied' })).toBeGreaterThan(100);
  });

  test('all metrics follow the rules of Prometheus', async () => {
    expect(lint((await agent.metrics()).families.values())).toEqual([]);
  });

  test('/healthz and /readyz say that all is well, and other paths are not found', async () => {
    expect(await agent.get('/healthz')).toEqual({ status: 200, body: '2 of 2 queue workers alive\n' });
    expect(await agent.get('/readyz')).toMatchObject({ status: 200 });
    expect(await agent.get('/other')).toMatchObject({ status: 404 });
  });
});
