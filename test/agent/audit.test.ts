/**
 * Real packets under `--mode audit`: nothing is held or dropped, whatever happens, and the agent
 * reports what enforcement would deny.
 */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Answer } from '../../src/explain/explanation.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { flowLines, QUERIES, seenFlow } from './flow-lines.ts';
import { getIn } from './http-in-netns.ts';
import { CLIENT_ALLOWED, FRIEND_ALLOWED } from './policies.ts';
import { CLI, type RunningAgent } from './running-agent.ts';

describeAsRoot('podfence agent --mode audit', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await world.killAgents();
    await world.become([FRIEND_ALLOWED]);
    await world.onNode(process.execPath, CLI, 'cleanup');
  });

  const audit = (...flags: readonly string[]) => world.startAgent('--mode', 'audit', ...flags);
  const connect = (from: string, port: number) => new Connections(world.lab, from, 'shop/server', port);
  const seen = (line: object) => seenFlow(world.node, line);

  test('what no policy allows passes, and is reported as would_deny: as a flow, in metrics, and by explain', async () => {
    const agent = await audit();
    using stranger = connect('shop/stranger', 7101);
    using friend = connect('shop/friend', 7103);
    await Promise.all([stranger.flow(), friend.flow()]);
    for (const [protocol, port] of [
      ['TCP', 7101],
      ['UDP', 7102],
    ]) {
      const line = await seen({ verdict: 'would_deny', protocol, port });
      expect(line).toMatchObject({ direction: 'ingress', reason: 'ingress-denied', count: 1 });
      expect(line.policies).toMatchObject([{ namespace: 'shop', name: 'friend' }]);
    }
    await seen({ verdict: 'allow', protocol: 'TCP', port: 7103 });
    const metrics = await agent.metrics();
    const wouldDeny = { direction: 'ingress', verdict: 'would_deny', reason: 'ingress-denied' };
    expect(metrics.sum('podfence_packets_total', wouldDeny)).toBeGreaterThanOrEqual(2);
    expect(metrics.sum('podfence_packets_total', { verdict: 'deny' })).toBe(0);
    expect(metrics.sum('podfence_copies_total', { outcome: 'lost' })).toBe(0);
    const question = new URLSearchParams({ from: 'shop/stranger', to: 'shop/server', port: '7101' });
    const { status, body } = await getIn(world.node, QUERIES, `/explain?${question}`);
    expect(status).toBe(200);
    expect((JSON.parse(body) as Answer).verdict).toBe('would_deny');
    expect(await agent.status()).toMatchObject({ mode: { mode: 'audit' }, packets: { denied: 0 }, queues: [] });
    expect((await agent.get('/readyz')).body).toMatch(
      /^audit mode: policies are judged and nothing is enforced, since/,
    );
    await stranger.expectNothingLost();
  });

  test('a connection that a change would cut goes on, and is reported once as one that would be revoked', async () => {
    const agent = await audit();
    await world.change(agent, [FRIEND_ALLOWED, CLIENT_ALLOWED]);
    using client = connect('shop/client', 7111);
    await client.flow();
    await seen({ verdict: 'allow', protocol: 'TCP', port: 7111 });
    await world.change(agent, [FRIEND_ALLOWED]);
    const line = await seen({ verdict: 'would_deny', reason: 'revoked', protocol: 'TCP', port: 7111 });
    expect(line).toMatchObject({ count: 1, sourcePort: client.sourcePorts.tcp, direction: 'ingress' });
    await client.flow();
    await world.change(agent, [FRIEND_ALLOWED, { ...CLIENT_ALLOWED, spec: FRIEND_ALLOWED.spec }]);
    await client.flow();
    const { lines } = await flowLines(world.node, 'verdict=would_deny&port=7111');
    expect(lines).toMatchObject([{ reason: 'revoked', count: 1 }]);
    await client.expectNothingLost();
  });

  test('traffic goes on while the process that takes copies is killed and replaced, and connections opened meanwhile are reported', async () => {
    const agent = await audit();
    using before = connect('shop/stranger', 7121);
    await before.flow();
    await seen({ verdict: 'would_deny', port: 7121 });
    const from = agent.log.length;
    process.kill(captureOf(agent), 'SIGKILL');
    using meanwhile = connect('shop/stranger', 7123);
    await Promise.all([before.flow(), meanwhile.flow()]);
    await agent.logged('that copies are taken again', ({ msg }) => msg === 'copies of packets are taken', from);
    await seen({ verdict: 'would_deny', protocol: 'TCP', port: 7123 });
    using after = connect('shop/stranger', 7125);
    await after.flow();
    await seen({ verdict: 'would_deny', protocol: 'TCP', port: 7125, reason: 'ingress-denied' });
    expect((await agent.metrics()).sum('podfence_capture_restarts_total')).toBe(1);
    await before.expectNothingLost();
    await meanwhile.expectNothingLost();
  });

  test('traffic goes on without an agent', async () => {
    const agent = await audit('--offload', 'no');
    await agent.kill();
    using stranger = connect('shop/stranger', 7131);
    await stranger.flow();
    await stranger.expectNothingLost();
  });

  test.each(['nftables', 'iptables'])(
    'an enforcing agent that follows on %s cuts what was reported, and an allowed open connection loses nothing; and back',
    async (steering) => {
      const first = await audit('--steering', steering);
      using friend = connect('shop/friend', 7141);
      using stranger = connect('shop/stranger', 7143);
      await Promise.all([friend.flow(), stranger.flow()]);
      await seen({ verdict: 'would_deny', port: 7143 });
      expect(await first.terminate()).toBe(0);
      await friend.flow();

      const second = await world.startAgent();
      await expectCut(stranger);
      await friend.flow();
      await friend.arrived();
      expect(await second.terminate()).toBe(0);

      await audit();
      await stranger.flow();
      await friend.flow();
      await friend.expectNothingLost();
    },
  );
});

/** Returns the PID of the agent's process that takes copies. */
function captureOf({ pid }: RunningAgent): number {
  // There are other children: tools on standby.
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  return Number(children.find((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('capture-process')));
}
