/**
 * A switch from enforcing to audit mode that fails: from the start of audit mode on nothing is held
 * or dropped, whatever keeps it from working.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { patience } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld, NODE } from './agent-world.ts';
import { FRIEND_ALLOWED } from './policies.ts';
import { CLI, RunningAgent } from './running-agent.ts';

// The test runs several agents in succession, each of which may take seconds on a busy machine.
vi.setConfig({ testTimeout: patience(90_000) });

/** As with kube-proxy, the kernel tracks connections with or without an agent. */
const TRACKING = ['iptables', '-t', 'filter', '-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'ESTABLISHED'];

describeAsRoot('A switch to audit mode that does not succeed', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
    await world.onNode(...TRACKING);
    // Replaces libpcap.
    writeFileSync(join(world.folder, 'libpcap.so.0.8'), '');
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    world.environment = {};
    await world.killAgents();
    await world.onNode(process.execPath, CLI, 'cleanup');
  });

  const connect = (from: string, port: number) => new Connections(world.lab, from, 'shop/server', port);
  const rules = () => world.onNode('iptables-save');
  const lines = (text: string) => text.split('\n').filter((line) => line.includes('PODFENCE') && !line.startsWith(':'));

  test('because libpcap is missing, again and again, lets everything pass; the next agent that enforces cuts denied connections, and allowed ones lose nothing', async () => {
    const enforcing = await world.startAgent();
    using friend = connect('shop/friend', 7201);
    using stranger = connect('shop/stranger', 7203);
    await friend.flow();
    await expectCut(stranger);
    await friend.arrived();
    expect(await enforcing.terminate()).toBe(0);

    world.environment = { LD_LIBRARY_PATH: world.folder };
    for (let round = 0; round < 2; round++) expect(await world.spawnAgent('--mode', 'audit').exitCode()).toBe(3);
    await stranger.flow();
    using meanwhile = connect('shop/friend', 7205);
    await meanwhile.flow();
    expect(await rules()).not.toContain('PODFENCE');

    world.environment = {};
    await world.startAgent();
    await expectCut(stranger);
    await friend.expectNothingLost();
    await meanwhile.expectNothingLost();
  });

  test('because the API server does not answer, lets everything pass', async () => {
    const enforcing = await world.startAgent();
    using stranger = connect('shop/stranger', 7211);
    await expectCut(stranger);
    expect(await enforcing.terminate()).toBe(0);
    await world.api.call('fail', { answer: 'hang', times: 3 });
    const agent = world.spawnAgent('--mode', 'audit');
    await agent.serves();
    await stranger.flow();
    expect((await agent.get('/readyz')).status).toBe(503);
    await world.api.call('heal');
  });

  test('because an agent still enforces, leaves its rules alone and says so', async () => {
    const enforcing = await world.startAgent();
    using friend = connect('shop/friend', 7221);
    using stranger = connect('shop/stranger', 7223);
    await friend.flow();
    const before = await rules();
    const refused = world.spawnAgent('--mode', 'audit');
    expect(await refused.exitCode()).toBe(3);
    expect(refused.log.at(-1)?.msg).toContain('another podfence agent runs on this node: it answers queue 9464');
    await expectCut(stranger);
    await friend.expectNothingLost();
    expect(enforcing.isRunning).toBe(true);
    expect(lines(await rules())).toEqual(lines(before));
  });

  test.each([
    ['manifests that do not exist', ['--manifests', '/nowhere'], 'nowhere'],
    ['a context that the kubeconfig lacks', ['--kubeconfig', 'KUBECONFIG', '--context', 'other'], 'other'],
  ])('because the settings name %s, leaves what enforces as it is', async (_, source, words) => {
    const enforcing = await world.startAgent();
    expect(await enforcing.terminate()).toBe(0);
    const before = await rules();
    const flags = source.map((flag) => (flag === 'KUBECONFIG' ? world.kubeConfig : flag));
    const refused = new RunningAgent(world.node, ['--node-name', NODE, '--mode', 'audit', ...flags]);
    expect(await refused.exitCode()).toBe(words === 'nowhere' ? 2 : 3);
    expect(refused.log.at(-1)?.msg).toContain(words);
    expect(before).toContain('NFQUEUE');
    expect(lines(await rules())).toEqual(lines(before));
  });
});
