/** An agent does not start if another process has its queues or its rules, and says which. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { QueueSocket } from '../../src/dataplane/nfqueue/queue-socket.ts';
import { close, eventfd } from '../../src/sys/libc.ts';
import { describeAsRoot } from '../root.ts';
import { AgentWorld } from './agent-world.ts';
import { FRIEND_ALLOWED } from './policies.ts';
import type { RunningAgent } from './running-agent.ts';

const ELSEWHERE = ['--metrics-address', '127.0.0.1:9999', '--query-address', '127.0.0.1:9998'];

describeAsRoot('A second agent, or other software on its queues', () => {
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
    { where: 'on the same queues', flags: [] },
    { where: 'on queues of its own', flags: ['--first-queue', '9600'] },
  ])('a second agent $where reports the first, and changes nothing', async ({ flags }) => {
    const first = await world.startAgent();
    const rules = await rulesOf(world);
    const second = world.spawnAgent(...ELSEWHERE, ...flags);
    expect(await second.exitCode()).not.toBe(0);
    expect(wordsOf(second)).toMatch(
      new RegExp(`another podfence agent runs on this node: it answers queue 9464 \\(.*process ${first.pid}\\)`),
    );
    expect(await rulesOf(world)).toEqual(rules);
    expect((await first.get('/readyz')).status).toBe(200);
  });

  test.each(['enforce', 'audit'])('an agent that would %s reports one that audits', async (mode) => {
    const first = await world.startAgent('--mode', 'audit');
    const rules = await rulesOf(world);
    const second = world.spawnAgent(...ELSEWHERE, '--mode', mode, '--first-queue', '9600');
    expect(await second.exitCode()).not.toBe(0);
    expect(wordsOf(second)).toMatch(/another podfence agent .*: it reads the copies of group 9464 \(.*process \d+\)/);
    expect(await rulesOf(world)).toEqual(rules);
    expect((await first.get('/readyz')).status).toBe(200);
  });

  test('an agent that would audit reports one that enforces, whose rules stay', async () => {
    await world.startAgent();
    const rules = await rulesOf(world);
    const second = world.spawnAgent(...ELSEWHERE, '--mode', 'audit');
    expect(await second.exitCode()).not.toBe(0);
    expect(wordsOf(second)).toContain('another podfence agent runs on this node: it answers queue 9464');
    expect(await rulesOf(world)).toEqual(rules);
  });

  test('other software on one of its queues is named', async () => {
    const wake = eventfd();
    const held = world.node.netns.run(() => new QueueSocket(9465, wake, false));
    const agent = world.spawnAgent('--queues', '2');
    expect(await agent.exitCode()).not.toBe(0);
    close(held.fd);
    close(wake);
    expect(wordsOf(agent)).toMatch(
      new RegExp(`queue 9465 is read by other software \\(.*process ${process.pid}\\): no rule of podfence`),
    );
  });
});

function wordsOf({ log, words }: RunningAgent): string {
  return [...words, ...log.map((line) => JSON.stringify(line))].join('\n');
}

/** Returns the rules without counters and times. */
async function rulesOf(world: AgentWorld): Promise<readonly string[]> {
  const text = await world.onNode('sh', '-c', 'iptables-save; nft list ruleset');
  return text
    .split('\n')
    .filter((line) => /^-A|^\t\t.* comment .*\]/.test(line))
    .map((line) => line.replace(/packets \d+ bytes \d+/, ''));
}
