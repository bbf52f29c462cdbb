/** The log's disk is full: packets are judged all the same. */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld, NODE } from './agent-world.ts';
import { CLIENT_ALLOWED, FRIEND_ALLOWED } from './policies.ts';
import { RunningAgent } from './running-agent.ts';

describeAsRoot('An agent whose log cannot be written', () => {
  let world: AgentWorld;
  let full: number;
  let agent: RunningAgent;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
    full = openSync('/dev/full', 'w');
  });
  afterEach(async () => {
    await agent.end();
  });
  afterAll(async () => {
    closeSync(full);
    await world[Symbol.asyncDispose]();
  });

  const start = (...flags: readonly string[]) =>
    new RunningAgent(world.node, ['--node-name', NODE, ...flags], {}, full).ready();

  test('enforces, applies changes, serves, counts the lost lines, and ends in order', async () => {
    agent = await start('--kubeconfig', world.kubeConfig);
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
    using client = new Connections(world.lab, 'shop/client', 'shop/server', 7003);
    await friend.flow();
    await expectCut(client);
    await world.become([FRIEND_ALLOWED, CLIENT_ALLOWED]);
    await agent.shows('the change', ({ enforced }) => enforced.policies === 2);
    using again = new Connections(world.lab, 'shop/client', 'shop/server', 7005);
    await again.flow();
    // Causes log lines: the watches break.
    await world.api.call('cutWatches');
    await agent.shows('another watch', ({ source }) => source.kinds.every(({ restarts }) => restarts.connection === 1));
    await friend.expectNothingLost();
    const metrics = await agent.metrics();
    expect(metrics.sum('podfence_ready')).toBe(1);
    expect(metrics.sum('podfence_log_lines_lost_total')).toBeGreaterThan(5);
    expect(await agent.terminate()).toBe(0);
  });

  test('enforces manifests', async () => {
    const manifests = join(world.folder, 'none.yaml');
    writeFileSync(manifests, '');
    agent = await start('--manifests', manifests);
    expect(await agent.get('/readyz')).toMatchObject({ status: 200 });
    expect((await agent.metrics()).sum('podfence_log_lines_lost_total')).toBeGreaterThan(1);
    expect(await agent.terminate()).toBe(0);
  });
});
