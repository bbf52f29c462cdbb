/**
 * Other software removes rules while denied traffic runs: the kernel reports it, and the rules are
 * back before the next check is due.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { DeniedStream } from './denied-stream.ts';
import { FRIEND_ALLOWED } from './policies.ts';
import type { RunningAgent } from './running-agent.ts';

/**
 * Packets, of a thousand a second. Waiting for the next check of the rules would let thousands
 * pass; docs/faults.md has how few pass on an idle machine.
 */
const BOUND = 1000;

describeAsRoot('Rules that other software removes', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
  });
  afterEach(async () => {
    await world.killAgents();
    await world.onNode('sh', '-c', 'nft flush ruleset; ipset destroy');
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test.each([
    'iptables -t security -F',
    'nft flush ruleset',
    'iptables -t security -D FORWARD -j PODFENCE-FORWARD',
    'iptables -t security -F PODFENCE-FORWARD',
    'iptables-save | grep -v PODFENCE | iptables-restore',
  ])('let little of a denied stream through when they are removed by %s, and lose nothing allowed', async (command) => {
    const agent = await world.startAgent();
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
    await friend.flow();
    using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7003);
    using denied = new DeniedStream(world.lab.pod('shop/stranger'), world.lab.pod('shop/server'));
    await denied.goesOn();
    expect(denied.delivered).toBe(0);
    const from = agent.log.length;
    await world.onNode('sh', '-c', command);
    await repaired(agent, from);
    const { delivered } = denied;
    await denied.goesOn();
    expect(denied.delivered, 'once the rules are in place').toBe(delivered);
    expect(delivered).toBeGreaterThan(0);
    expect(delivered).toBeLessThanOrEqual(BOUND);
    await friend.expectNothingLost();
    await expectCut(stranger);
    // By now the kernel has reported the agent's own changes, and the agent has ignored them.
    const again = agent.log.length;
    await world.onNode('sh', '-c', command);
    await repaired(agent, again);
    expect((await agent.status()).mode?.changesTold).toBe('rules');
    expect((await agent.metrics()).sum('podfence_steering_repairs_total')).toBe(2);
  });
});

async function repaired(agent: RunningAgent, from: number): Promise<void> {
  await agent.logged('that it repaired', ({ msg }) => msg.includes('are in place again'), from);
}
