/** Judging threads that die are replaced while traffic flows. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { DeniedTraffic } from './denied-traffic.ts';
import { seenFlow } from './flow-lines.ts';
import { FRIEND_ALLOWED } from './policies.ts';

const HOOK = fileURLToPath(new URL('./end-workers.ts', import.meta.url));
const QUEUES = 2;
const DEATHS = 3;

describeAsRoot('Workers that die', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('are replaced and counted each time: open connections go on, new ones are judged, nothing denied gets through', async () => {
    world.environment = { NODE_OPTIONS: `--import ${HOOK}` };
    const agent = await world.startAgent('--queues', String(QUEUES));
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
    await friend.flow();
    using attempts = new DeniedTraffic(world.lab.pod('shop/stranger'), world.lab.pod('shop/server'));
    for (let death = 1; death <= DEATHS; death++) {
      await friend.arrived();
      const from = agent.log.length;
      process.kill(agent.pid, 'SIGUSR2');
      const replaced = () => agent.log.slice(from).filter(({ msg }) => msg === 'a queue worker was replaced').length;
      await agent.logged('that the workers were replaced', () => replaced() === QUEUES, from);
      expect((await agent.metrics()).sum('podfence_worker_restarts_total')).toBe(death * QUEUES);
      using another = new Connections(world.lab, 'shop/friend', 'shop/server', 7011 + 2 * death);
      await another.flow();
    }
    await friend.expectNothingLost();
    await attempts.expectNothingDelivered();
    expect((await agent.get('/healthz')).status).toBe(200);
  });

  test('in audit mode too, where connections opened before are reported once', async () => {
    await world.killAgents();
    world.environment = { NODE_OPTIONS: `--import ${HOOK}` };
    const agent = await world.startAgent('--mode', 'audit');
    using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7021);
    await stranger.flow();
    await seenFlow(world.node, { verdict: 'would_deny', protocol: 'TCP', port: 7021, reason: 'ingress-denied' });
    process.kill(agent.pid, 'SIGUSR2');
    await agent.logged('that it was replaced', ({ msg }) => msg === 'a thread that judges copies was replaced');
    await seenFlow(world.node, { verdict: 'would_deny', protocol: 'TCP', port: 7021, reason: 'revoked', count: 1 });
    using another = new Connections(world.lab, 'shop/stranger', 'shop/server', 7023);
    await another.flow();
    await seenFlow(world.node, { verdict: 'would_deny', port: 7023 });
    expect((await agent.get('/healthz')).body).toContain('1 of 1 threads that judge copies alive');
    await stranger.expectNothingLost();
  });
});
