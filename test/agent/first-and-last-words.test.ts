/**
 * What an agent logs about its predecessor and the isolated pods when it starts, and what it logs
 * last if it does not end in order.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { patience } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import { AgentWorld, NODE } from './agent-world.ts';
import { CLIENT_ALLOWED, FRIEND_ALLOWED } from './policies.ts';
import { CLI, type RunningAgent } from './running-agent.ts';

// The test runs several agents in succession, each of which may take seconds on a busy machine.
vi.setConfig({ testTimeout: patience(90_000) });

describeAsRoot('The log of an agent', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED, CLIENT_ALLOWED]);
  });
  afterEach(async () => {
    world.environment = {};
    await world.killAgents();
    await world.onNode(process.execPath, CLI, 'cleanup');
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  const said = (agent: RunningAgent, words: string) => agent.log.filter(({ msg }) => msg.includes(words));
  const signOf = async () => /comment "(\w+)"/.exec(await world.onNode('ipset', 'save'))?.[1];

  test('has time, level and node in every line, and says what is isolated when it enforces', async () => {
    const agent = await world.startAgent();
    for (const { time, level, node } of agent.log) {
      expect(time).toBe(new Date(String(time)).toISOString());
      expect(level).toMatch(/^(debug|info)$/);
      expect(node).toBe(NODE);
    }
    expect(said(agent, 'enforcing')).toMatchObject([{ isolatedPods: 1, isolatedAddresses: 1, policiesOfCluster: 2 }]);
    expect(said(agent, 'an earlier agent')).toEqual([]);
  });

  test('says after a crash what was found of the earlier agent, and for how long no agent judged; the same after an orderly end', async () => {
    const first = await world.startAgent();
    await expect.poll(signOf).toBe('judging');
    await first.kill();
    const killedAt = Date.now();
    const second = await world.startAgent();
    const [line] = said(second, 'an earlier agent');
    expect(line).toMatchObject({
      level: 'warn',
      earlierAgent: 'ended without a word',
      found: expect.arrayContaining([
        'iptables, table security: chain PODFENCE-FORWARD',
        'ip6tables, table mangle: chain PODFENCE-POSTROUTING',
        'set podfence-steered-4',
      ]),
    });
    const unjudged = Date.parse(String(said(second, 'in force')[0]?.time)) - killedAt;
    expect(Number(line?.unjudgedSecondsAtLeast)).toBeLessThanOrEqual(unjudged / 1000);

    await expect.poll(signOf).toBe('judging');
    expect(await second.terminate()).toBe(0);
    expect(await signOf()).toBe('stopped');
    const third = await world.startAgent();
    expect(said(third, 'an earlier agent')).toMatchObject([{ level: 'info', earlierAgent: 'stopped in order' }]);
    expect(third.words).toEqual([]);
  });

  test('ends with a line of JSON if the agent crashes', async () => {
    const fault = join(world.folder, 'fault.mjs');
    writeFileSync(fault, `process.on('SIGUSR2', () => { throw new Error('a fault of its own'); });`);
    world.environment = { NODE_OPTIONS: `--import=${fault}` };
    const agent = await world.startAgent();
    process.kill(agent.pid, 'SIGUSR2');
    expect(await agent.exitCode()).toBe(1);
    expect(agent.words).toEqual([]);
    expect(agent.log.at(-1)).toMatchObject({
      level: 'fatal',
      node: NODE,
      exitCode: 1,
      err: { message: 'a fault of its own' },
      msg: 'the agent crashed: a fault of its own; the kernel rules stay',
    });
  });

  test('ends with a line of JSON, and with what to do, if the agent cannot start', async () => {
    // Replaces the tool.
    world.environment = { PATH: `${world.folder}:${process.env.PATH}` };
    const file = join(world.folder, 'iptables');
    writeFileSync(file, '#!/bin/sh\necho "Permission denied (you must be root)" >&2\nexit 4\n', { mode: 0o755 });
    const agent = world.spawnAgent('--steering', 'iptables');
    expect(await agent.exitCode()).toBe(3);
    expect(agent.words).toEqual([]);
    expect(agent.log.at(-1)).toMatchObject({
      level: 'fatal',
      exitCode: 3,
      hint: expect.stringContaining('NET_ADMIN'),
      msg: expect.stringMatching(/^the agent could not start: .*must be root/),
    });
  });
});
