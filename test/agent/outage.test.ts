/** The API server goes away and comes back, while traffic flows. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { CLIENT_ALLOWED, FRIEND_ALLOWED, serverHears, team } from './policies.ts';
import type { RunningAgent } from './running-agent.ts';

const KINDS = ['Namespace', 'Pod', 'NetworkPolicy'];

describeAsRoot('Without the API server', () => {
  let world: AgentWorld;
  let agent: RunningAgent;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED, CLIENT_ALLOWED]);
    agent = await world.startAgent();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('packets are judged by what the agent knew last, and changes made meanwhile are enforced when it is back', async () => {
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
    using client = new Connections(world.lab, 'shop/client', 'shop/server', 7003);
    await Promise.all([friend.flow(), client.flow()]);
    const port = Number(new URL(await world.api.call('url')).port);
    await world.api.call('goAway');
    await agent.shows('that no watch is open', ({ source }) => source.kinds.every(({ watching }) => !watching));

    using another = new Connections(world.lab, 'shop/friend', 'shop/server', 7005);
    using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7007);
    using visitor = new Connections(world.lab, 'visitors/visitor', 'shop/server', 7009);
    await another.flow();
    await expectCut(stranger);
    await expectCut(visitor);
    // Changed while the server is away, so that the agent cannot learn of it.
    const changes = await world.become([FRIEND_ALLOWED, serverHears('visitors', team('trusted'))]);
    await client.flow();

    const ages = [await knowledgeAge(agent), await olderThan(agent, await knowledgeAge(agent))];
    expect(ages[1]).toBeGreaterThan(ages[0] ?? 0);
    const metrics = await agent.metrics();
    expect(metrics.sum('podfence_ready')).toBe(1);
    expect(metrics.sum('podfence_watch_open')).toBe(0);
    // The age in the text is rounded.
    expect(metrics.sum('podfence_knowledge_age_seconds')).toBeGreaterThan((ages[1] ?? 0) - 0.1);
    for (const kind of KINDS) {
      expect(metrics.sum('podfence_watch_restarts_total', { kind }), kind).toBeGreaterThan(0);
      expect(metrics.sum('podfence_watch_lists_total', { kind }), kind).toBe(1);
    }

    await agent.inForce(async () => {
      await world.api.call('listen', port);
      return changes;
    });
    await expectCut(client);
    await visitor.flow();
    await friend.expectNothingLost();
    await another.expectNothingLost();
    const { source } = await agent.shows('all watches open', ({ source }) =>
      source.kinds.every(({ watching }) => watching),
    );
    expect(source.kinds.map(({ lists }) => lists)).toEqual([1, 1, 1, 1]);
  });

  test('a watch that is cut resumes where it was', async () => {
    await world.change(agent, [FRIEND_ALLOWED]);
    using client = new Connections(world.lab, 'shop/client', 'shop/server', 7011);
    await expectCut(client);
    const before = await agent.metrics();
    await world.api.call('cutWatches');
    await world.change(agent, [FRIEND_ALLOWED, CLIENT_ALLOWED]);
    await client.flow();
    const after = await agent.metrics();
    const ofPolicies = { kind: 'NetworkPolicy' };
    const restarts = (metrics: typeof after) => metrics.sum('podfence_watch_restarts_total', ofPolicies);
    expect(restarts(after)).toBeGreaterThan(restarts(before));
    expect(after.sum('podfence_watch_lists_total', ofPolicies)).toBe(1);
  });

  test('a server whose history is gone is listed again, and only what differs is a change', async () => {
    await world.change(agent, [FRIEND_ALLOWED, CLIENT_ALLOWED]);
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7013);
    using client = new Connections(world.lab, 'shop/client', 'shop/server', 7015);
    await Promise.all([friend.flow(), client.flow()]);
    const from = agent.log.length;
    await world.api.call('freezeWatches');
    await agent.inForce(async () => {
      const changes = await world.become([FRIEND_ALLOWED]);
      await world.api.call('compact');
      await world.api.call('cutWatches');
      return changes;
    });
    await expectCut(client);
    await friend.expectNothingLost();
    await agent.shows('another list', ({ source }) => source.kinds.every(({ lists }) => lists === 2));
    const changed = agent.log.slice(from).filter(({ msg }) => msg === 'in force');
    expect(changed.map(({ changes }) => changes)).toEqual([1]);
  });
});

/** Reads the age in seconds from /readyz, which must report ready. */
async function knowledgeAge(agent: RunningAgent): Promise<number> {
  const { status, body } = await agent.get('/readyz');
  expect(status).toBe(200);
  const [, age] = / last heard ([\d.]+) seconds ago/.exec(body) ?? [];
  return Number(age);
}

async function olderThan(agent: RunningAgent, age: number): Promise<number> {
  for (;;) {
    const next = await knowledgeAge(agent);
    if (next > age) return next;
  }
}
