/** Queue workers that die are replaced while traffic flows. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { DeniedTraffic } from './denied-traffic.ts';
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

  test('are replaced and counted each time: what is open goes on, what is new is judged, nothing denied gets through', async () => {
    world.environment = { NODE_OPTIONS: `--import ${HOOK}` };
    const agent = await world.startAgent('--queues', String(QUEUES));
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
    await friend.flow();
    using attempts = new DeniedTraffic(world.lab.pod('shop/stranger'), world.lab.pod('shop/server'));
    for (let death = 1; death <= DEATHS; death++) {
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
});
