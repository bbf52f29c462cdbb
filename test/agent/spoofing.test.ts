/** Pods that send with addresses of others, on a node with an agent. The packets are real. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { node } from '../kube/objects.ts';
import { patience } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import { Connections } from '../scenarios/connections.ts';
import { AgentWorld, NODE } from './agent-world.ts';
import { FRIEND_ALLOWED } from './policies.ts';
import { CLI, type RunningAgent } from './running-agent.ts';

const TABLE = 'podfence-spoofing';
const FRIEND = '10.244.1.3';
const SERVER = '10.244.1.1';

/** The server counts UDP datagrams to port 7001 by source. */
const SEEN = `table ip seen {
  set sources { type ipv4_addr; flags dynamic; size 64; }
  chain input { type filter hook input priority 0; udp dport 7001 update @sources { ip saddr }; }
}
`;

describeAsRoot('A pod that sends with the address of another', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
    await world.set(node(NODE, ['10.244.1.0/24']), node('node-2', ['10.244.2.0/24']));
    await in_('shop/server', `echo '${SEEN}' | nft -f -`);
  });
  beforeEach(async () => {
    await in_('shop/server', 'nft flush set ip seen sources');
  });
  afterEach(async () => {
    await world.killAgents();
    await world.onNode(process.execPath, CLI, 'cleanup');
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  async function in_(pod: string, script: string): Promise<string> {
    const { code, stdout, stderr } = await world.lab.exec(world.lab.pod(pod), ['sh', '-ec', script]);
    if (code !== 0) throw new Error(`${script} failed: ${stderr}`);
    return stdout;
  }

  /** Sends as the friend, from the stranger. Returns whether the server got it. */
  async function forged(): Promise<boolean> {
    await in_('shop/server', 'nft flush set ip seen sources');
    await in_(
      'shop/stranger',
      `ip addr add ${FRIEND}/32 dev lo
       node -e 'const s = require("node:dgram").createSocket("udp4"); s.bind(0, "${FRIEND}", () => s.send("x", 7001, "${SERVER}", () => setTimeout(() => s.close(), 300)))'
       ip addr del ${FRIEND}/32 dev lo`,
    );
    return (await in_('shop/server', 'nft list set ip seen sources')).includes(FRIEND);
  }

  const rules = () => world.onNode('nft', '-a', 'list', 'ruleset');

  /** Resolves when the agent knows the ranges of the two nodes, which are one. */
  async function start(...flags: readonly string[]): Promise<RunningAgent> {
    const agent = await world.startAgent(...flags);
    await expect.poll(async () => (await agent.status()).spoofing.podRanges).toBe(1);
    return agent;
  }

  test('passes for it with --spoofing allow, which removes the rules of before', async () => {
    await (await start()).kill();
    expect(await rules()).toContain(TABLE);
    const agent = await world.startAgent('--spoofing', 'allow');
    expect(await forged()).toBe(true);
    expect((await agent.status()).spoofing).toEqual({ state: 'allow', podRanges: null, dropped: {}, problem: null });
    expect(await rules()).not.toContain(TABLE);
  });

  test.each(['iptables', 'auto'])('is dropped and counted, with --steering %s', async (steering) => {
    const agent = await start('--steering', steering);
    expect(await forged()).toBe(false);
    const dropped = async () => Object.values((await agent.status()).spoofing.dropped);
    await expect.poll(dropped, { timeout: patience(25_000) }).toEqual([1]);
    expect((await agent.metrics()).sum('podfence_spoofed_packets_total')).toBe(1);
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7011);
    await friend.flow();
  });

  test('is dropped while no agent runs, and the next agent leaves the rules as they are', async () => {
    const before = await start();
    const written = await table();
    await before.kill();
    expect(await forged()).toBe(false);
    const after = await world.startAgent();
    expect(await table()).toBe(written);
    await expect.poll(async () => (await after.status()).spoofing.podRanges).toBe(1);
    expect(await table()).toBe(written);
    expect((await after.status()).spoofing).toMatchObject({ state: 'drop', dropped: {}, problem: null });
  });

  test('follows the ranges of the nodes as they change', async () => {
    const agent = await start();
    await world.set(node('node-3', ['10.99.0.0/24']));
    await expect.poll(async () => (await agent.status()).spoofing.podRanges).toBe(2);
    await expect.poll(table).toContain('10.99.0.0/24');
    await world.api.call('delete', 'Node', undefined, 'node-3');
    await expect.poll(table).not.toContain('10.99.0.0/24');
  });

  test('is dropped again after a flush of all rules', async () => {
    const agent = await start();
    await world.onNode('nft', 'delete', 'table', 'inet', TABLE);
    const told = await agent.logged('the repair', ({ msg }) => msg.includes('against forged source addresses'));
    expect(told).toMatchObject({ level: 'warn', changed: [expect.stringContaining('is gone')] });
    expect(await forged()).toBe(false);
  });

  test('passes in audit mode, which drops nothing', async () => {
    await (await start()).kill();
    const agent = await world.startAgent('--mode', 'audit');
    expect(await forged()).toBe(true);
    expect((await agent.status()).spoofing).toMatchObject({ state: 'audit', dropped: {} });
    expect(await rules()).not.toContain(TABLE);
  });

  test("is not told where the role lacks the right to watch nodes; the node's own addresses are", async () => {
    await world.api.call('fail', { kind: 'Node', times: 1000, answer: { status: 403, reason: 'Forbidden' } });
    onTestFinished(() => world.api.call('heal'));
    const agent = await world.startAgent();
    await agent.logged('the missing right', ({ msg }) => msg.includes('forbids to list and watch nodes'));
    expect(await forged()).toBe(true);
    expect((await agent.status()).spoofing).toMatchObject({ state: 'drop', podRanges: null, problem: null });
    expect(await rules()).toContain(TABLE);
  });

  test('passes after podfence cleanup', async () => {
    await (await start()).kill();
    await world.onNode(process.execPath, CLI, 'cleanup');
    expect(await rules()).not.toContain(TABLE);
    expect(await forged()).toBe(true);
  });

  /** The table without what counts and runs out. */
  async function table(): Promise<string> {
    const text = await world.onNode('nft', '-a', '-s', 'list', 'table', 'inet', TABLE);
    return text.replace(/^\s*elements = \{ "[^}]*\}\n/m, '');
  }
});
