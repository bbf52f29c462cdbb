/**
 * The agent ends in every possible way and starts again, while traffic flows and denied traffic is
 * tried.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { patience } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import type { Moment, Stream } from '../scenarios/streams.ts';
import { AgentWorld } from './agent-world.ts';
import { DeniedTraffic } from './denied-traffic.ts';
import { CLIENT_ALLOWED, FRIEND_ALLOWED, serverHears, team } from './policies.ts';
import type { RunningAgent } from './running-agent.ts';

// The test runs several agents in succession, each of which may take seconds on a busy machine.
vi.setConfig({ testTimeout: patience(90_000) });

const VISITORS_ALLOWED = serverHears('visitors', team('trusted'));
const FRIEND_AND_CLIENT = [FRIEND_ALLOWED, CLIENT_ALLOWED];

describeAsRoot('The agent is restarted', () => {
  let world: AgentWorld;
  let port = 7001;
  beforeAll(async () => {
    world = await AgentWorld.start();
  });
  beforeEach(async () => {
    await world.become(FRIEND_AND_CLIENT);
  });
  afterEach(async () => {
    await world.killAgents();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  /** Opens connections to the server, on their own ports. */
  function connect(from: string): Connections {
    port += 2;
    return new Connections(world.lab, from, 'shop/server', port);
  }

  /** Opens connections and has a change cut them. */
  async function connectAndRevoke(agent: RunningAgent, from: string): Promise<Connections> {
    const connections = connect(from);
    await connections.flow();
    await world.change(agent, [FRIEND_ALLOWED]);
    await expectCut(connections);
    return connections;
  }

  /** Kills an agent while it tries out what the kernel can do, so that its trial is left behind. */
  async function startAndKill(): Promise<void> {
    const agent = world.spawnAgent();
    const isEnforcing = () => agent.log.some(({ msg }) => msg === 'enforcing');
    while (!(await world.onNode('ipset', 'list', '-n')).includes('podfence-probe') && !isEnforcing());
    await agent.kill();
  }

  const denied = () => new DeniedTraffic(world.lab.pod('shop/stranger'), world.lab.pod('shop/server'));

  test('SIGTERM: open connections go on, new ones wait for the next agent, denied ones stay out', async () => {
    const first = await world.startAgent();
    using open = connect('shop/friend');
    await open.flow();
    using revoked = await connectAndRevoke(first, 'shop/client');
    using attempts = denied();
    await attempts.goesOn();
    const cutAt = momentsOf(revoked);

    await open.arrived();
    expect(await first.terminate()).toBe(0);
    await open.flow();
    using opening = connect('shop/friend');
    await expectCut(opening);
    expect(passedSince(cutAt)).toBe(0);

    await world.startAgent();
    await opening.flow();
    await expectCut(revoked);
    expect(passedSince(cutAt)).toBe(0);
    await attempts.expectNothingDelivered();
    await open.expectNothingLost();
  });

  test('kill -9, again and again: the next agent adopts the rules in place, and nothing slips through', async () => {
    let agent = await world.startAgent();
    using open = connect('shop/friend');
    await open.flow();
    using revoked = await connectAndRevoke(agent, 'shop/client');
    using attempts = denied();
    await attempts.goesOn();
    const cutAt = momentsOf(revoked);
    const rules = [...(await rulesOf(world)).keys()];
    const sets = await setsOf(world);
    for (let round = 0; round < 3; round++) {
      await open.arrived();
      await agent.kill();
      await open.flow();
      if (round === 1) await startAndKill();
      const before = await rulesOf(world);
      agent = await world.startAgent();
      const after = await rulesOf(world);
      expect([...after.keys()]).toEqual(rules);
      for (const rule of rules) expect(after.get(rule), rule).toBeGreaterThanOrEqual(before.get(rule) ?? 0);
      expect(await setsOf(world)).toEqual(sets);
      await open.flow();
      expect(passedSince(cutAt)).toBe(0);
      await attempts.expectNothingDelivered();
    }
    await open.expectNothingLost();
    expect((await agent.status()).packets.deniedBy).toMatchObject({ 'ingress-denied': expect.any(Number) });
  });

  test('a policy that changed while no agent ran is in force on open connections when the next one is ready', async () => {
    const first = await world.startAgent();
    using friend = connect('shop/friend');
    using client = connect('shop/client');
    using visitor = connect('visitors/visitor');
    await Promise.all([friend.flow(), client.flow()]);
    await friend.arrived();
    await first.kill();
    await world.become([FRIEND_ALLOWED, VISITORS_ALLOWED]);
    await client.flow();

    await world.startAgent();
    await expectCut(client);
    await visitor.flow();
    await friend.expectNothingLost();
  });

  test('with --fail open new connections pass meanwhile, and denied ones among them are cut when the next agent is ready', async () => {
    const first = await world.startAgent('--fail', 'open');
    using open = connect('shop/friend');
    await open.flow();
    using stranger = connect('shop/stranger');
    await expectCut(stranger);
    await open.arrived();
    await first.kill();
    using opened = connect('shop/client');
    using deniedLater = connect('shop/stranger');
    await Promise.all([opened.flow(), deniedLater.flow()]);

    await world.startAgent('--fail', 'open');
    await expectCut(deniedLater);
    await opened.expectNothingLost();
    await open.expectNothingLost();
  });

  test('with --offload no TCP recovers and datagrams go on, thanks to what the kernel knows of them', async () => {
    const first = await world.startAgent('--offload', 'no');
    using open = connect('shop/friend');
    await open.flow();
    using revoked = await connectAndRevoke(first, 'shop/client');
    using attempts = denied();
    const cutAt = momentsOf(revoked);
    await first.kill();
    await expectCut(open);

    const second = await world.startAgent('--offload', 'no');
    await open.flow();
    expect(passedSince(cutAt)).toBe(0);
    await attempts.expectNothingDelivered();
    expect(await open.tcp.lost()).toEqual({ toServer: [], toClient: [] });
    expect((await second.status()).packets).toMatchObject({ offloaded: 0 });
  });
});

type Moments = readonly (readonly [Stream, Moment])[];

function momentsOf({ tcp, udp }: Connections): Moments {
  return [tcp, udp].map((stream) => [stream, stream.moment()] as const);
}

/** Returns how many of the messages that were sent since have arrived. */
function passedSince(moments: Moments): number {
  const passages = moments.map(([stream, moment]) => stream.passedSince(moment));
  return passages.reduce((sum, { toServer, toClient }) => sum + toServer + toClient, 0);
}

/**
 * Returns all sets with their entries, without the agent's sign, whose remaining time goes down.
 */
async function setsOf(world: AgentWorld): Promise<readonly string[]> {
  return (await world.onNode('ipset', 'save')).split('\n').filter((line) => !line.includes('podfence-sign'));
}

/**
 * Returns the packets that each of podfence's rules has counted: a rule that is written again
 * starts at 0.
 */
async function rulesOf(world: AgentWorld): Promise<ReadonlyMap<string, number>> {
  const saved = await world.onNode('iptables-save', '-c');
  const rules = saved.matchAll(/^\[(\d+):\d+\] (-A .*PODFENCE.*)$/gm);
  return new Map(Array.from(rules, ([, packets, rule = '']) => [rule, Number(packets)]));
}
