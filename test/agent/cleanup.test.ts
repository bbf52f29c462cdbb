/**
 * `podfence cleanup` removes everything that is podfence's and nothing else, while traffic flows.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eachKernelFlow } from '../../src/dataplane/ctnetlink/kernel-flows.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { FRIEND_ALLOWED } from './policies.ts';
import { CLI } from './running-agent.ts';

/** A bit of the connection mark that belongs to another program. */
const FOREIGN_BIT = 0x10;
const JUDGED_BIT = 0x01000000;

const FOREIGN_RULES = [
  'ipset create other hash:ip',
  'ipset add other 10.244.1.3',
  'iptables -t mangle -N OTHER',
  `iptables -t mangle -A OTHER -m conntrack --ctstate NEW -j CONNMARK --set-xmark ${FOREIGN_BIT}/${FOREIGN_BIT}`,
  'iptables -t mangle -A PREROUTING -m set --match-set other src -j OTHER',
  'iptables -t filter -A FORWARD -m comment --comment other -j ACCEPT',
  'nft add table inet other',
];

describeAsRoot('podfence cleanup', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
    for (const line of FOREIGN_RULES) await world.onNode(...line.split(' '));
  });
  afterEach(async () => {
    await world.killAgents();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('removes every rule, set and mark of podfence, and leaves those of others and open connections', async () => {
    const before = await stateOf(world);
    const agent = await world.startAgent('--deny', 'reject');
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
    using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7003);
    await friend.flow();
    await expectCut(stranger);
    await friend.arrived();
    await agent.kill();
    expect(await stateOf(world)).not.toEqual(before);
    const marked = await marksOf(world);
    expect(marked).toContain(FOREIGN_BIT | JUDGED_BIT);

    expect(await world.onNode(process.execPath, CLI, 'cleanup')).toMatch(
      /^Removed podfence from .*; \d+ connections lost its mark\.$/m,
    );
    expect(await stateOf(world)).toEqual(before);
    const marks = await marksOf(world);
    expect(marks).toContain(FOREIGN_BIT);
    expect(marks.filter((mark) => (mark & JUDGED_BIT) !== 0)).toEqual([]);
    await friend.flow();
    await friend.expectNothingLost();
    // Enforcement has ended. The stranger's TCP connection was reset.
    await stranger.udp.flows();
  });

  test('removes the marks of an agent with its own mark mask if it is given the same mask', async () => {
    const before = await stateOf(world);
    const agent = await world.startAgent('--mark-mask', '0x300');
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7005);
    await friend.flow();
    await friend.arrived();
    await agent.kill();
    const marked = async () => (await marksOf(world)).filter((mark) => (mark & 0x100) !== 0).length;
    const judged = await marked();
    expect(judged).toBeGreaterThan(0);
    await world.onNode(process.execPath, CLI, 'cleanup');
    expect(await marked()).toBe(judged);
    await world.onNode(process.execPath, CLI, 'cleanup', '--mark-mask', '0x300');
    expect(await marked()).toBe(0);
    expect(await stateOf(world)).toEqual(before);
    await friend.expectNothingLost();
  });

  test('removes what an agent in audit mode left behind', async () => {
    const before = await stateOf(world);
    const agent = await world.startAgent('--mode', 'audit');
    using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7007);
    await stranger.flow();
    await agent.kill();
    expect(await stateOf(world)).not.toEqual(before);
    expect((await marksOf(world)).filter((mark) => (mark & JUDGED_BIT) !== 0)).toEqual([]);
    await world.onNode(process.execPath, CLI, 'cleanup');
    expect(await stateOf(world)).toEqual(before);
    await stranger.expectNothingLost();
  });

  test.each([
    { mode: 'enforce', does: 'answers queue 9464' },
    { mode: 'audit', does: 'reads the copies of group 9464' },
  ])('refuses beside an agent that runs with --mode $mode, and leaves all in place', async ({ mode, does }) => {
    const agent = await world.startAgent('--mode', mode);
    const before = await stateOf(world);
    const refused = await world.lab.exec(world.node, [process.execPath, CLI, 'cleanup']);
    expect(refused).toMatchObject({ code: 3, stdout: '' });
    expect(refused.stderr).toContain(`another podfence agent runs on this node: it ${does} (`);
    expect(refused.stderr).toMatch(/, process \d+\).*\n {2}stop it first/);
    expect(await stateOf(world)).toEqual(before);
    await agent.kill();
    await world.onNode(process.execPath, CLI, 'cleanup');
  });

  test('removes what an agent left that was killed before it had finished', async () => {
    const before = await stateOf(world);
    const agent = world.spawnAgent();
    await agent.logged(
      'that all lists are complete',
      ({ msg, kind }) => msg === 'list complete' && kind === 'NetworkPolicy',
    );
    while ((await world.onNode('iptables-save')).includes('PODFENCE') === false) expect(agent.isRunning).toBe(true);
    await agent.kill();
    await world.onNode(process.execPath, CLI, 'cleanup');
    expect(await stateOf(world)).toEqual(before);
  });
});

/**
 * Returns all rules and sets, without counters, and without empty tables and built-in chains, which
 * mean nothing.
 */
async function stateOf(world: AgentWorld): Promise<readonly string[]> {
  const commands = ['iptables-save', 'ip6tables-save', 'ipset save', 'nft list tables'];
  const texts = await Promise.all(commands.map((command) => world.onNode(...command.split(' '))));
  // The remaining time of the agent's sign goes down.
  const lines = texts
    .join('\n')
    .replace(/(add podfence-sign .* timeout) \d+/, '$1')
    .split('\n');
  return lines.filter(
    (line) => line !== '' && !/^#|^\*|^COMMIT|^:[A-Z]+ ACCEPT|^table ip6? (security|mangle|filter)$/.test(line),
  );
}

/** Returns the marks of all connections. */
async function marksOf(world: AgentWorld): Promise<readonly number[]> {
  const marks: number[] = [];
  await world.node.netns.run(() => eachKernelFlow(({ mark }) => marks.push(mark)));
  return marks;
}
