/**
 * Pods that start: the container runtime holds back their containers until their policies are in
 * force. The agent and the packets are real; the runtime is the tests' own.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { FakeRuntime, type PluginEnd, pod as sandbox } from '../nri/fake-runtime.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld, relabelled, SERVER } from './agent-world.ts';
import { DeniedTraffic } from './denied-traffic.ts';
import { FRIEND_ALLOWED } from './policies.ts';
import type { RunningAgent } from './running-agent.ts';
import { shimTool } from './tool-shim.ts';

const RUN = 1;
const STOP = 2;
const UID = 'uid-of-the-server';

/** The server, of which the API server does not know yet. */
const STARTED = sandbox({
  ...{ id: 'sandbox-1', uid: UID, namespace: 'shop', name: 'server' },
  ...{
    labels: { app: 'server', 'io.kubernetes.pod.name': 'server' },
    ips: ['10.244.1.1'],
    netnsPath: '/proc/self/ns/net',
  },
});

describeAsRoot('A pod that starts', () => {
  let world: AgentWorld;
  let runtime: FakeRuntime;
  beforeAll(async () => {
    world = await AgentWorld.start();
  });
  beforeEach(async () => {
    await world.become([FRIEND_ALLOWED], { without: [SERVER] });
    await world.api.call('delete', 'Pod', 'shop', 'server');
    runtime = await new FakeRuntime().listen();
  });
  afterEach(async () => {
    world.environment = {};
    await world.killAgents();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  /** Starts an agent, which the runtime knows when this resolves. */
  async function start(...flags: readonly string[]): Promise<{ agent: RunningAgent; plugin: PluginEnd }> {
    const agent = await world.startAgent('--nri', runtime.path, ...flags);
    const plugin = await runtime.plugin();
    await plugin.start();
    await agent.logged('that the runtime waits', ({ msg }) => msg.startsWith('the container runtime holds back'));
    return { agent, plugin };
  }

  /** The server as the API server reports it. */
  const reported = (labels: Readonly<Record<string, string>>, status: object) => {
    const { metadata, ...object } = relabelled(SERVER, labels);
    return { ...object, metadata: { ...metadata, uid: UID }, status };
  };

  test('is isolated before its containers start, though the API server has not heard of it', async () => {
    const { agent, plugin } = await start();
    using before = new Connections(world.lab, 'shop/stranger', 'shop/server', 7601);
    await before.flow();
    expect(await plugin.stateChange(RUN, STARTED)).toMatchObject({ code: 0 });
    using attempts = new DeniedTraffic(world.lab.pod('shop/stranger'), world.lab.pod('shop/server'));
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7603);
    await friend.flow();
    await expectCut(before);
    await attempts.expectNothingDelivered();
    await friend.expectNothingLost();
    expect((await agent.status()).podStarts).toMatchObject({
      ...{ state: 'runtime', runtime: 'containerd 2.2.9', lastError: null },
      ...{ inForce: 1, refused: 0, unjudged: 0, lastWaitSeconds: expect.any(Number) },
    });
    expect((await agent.metrics()).sum('podfence_pod_starts_total')).toBe(1);
  });

  test('keeps its address while the API server reports none, and gets the labels of the API', async () => {
    const { agent, plugin } = await start();
    await agent.inForce(async () => {
      await world.set(reported({ app: 'server' }, { phase: 'Pending' }));
      return 1;
    });
    await plugin.stateChange(RUN, STARTED);
    using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7611);
    await expectCut(stranger);
    await world.set(reported({ app: 'server' }, { phase: 'Pending', startTime: '2026-01-01T00:00:00Z' }));
    await expectCut(stranger);
    // A relabelled pod that no policy selects.
    await agent.inForce(async () => {
      await world.set(reported({ app: 'other' }, { phase: 'Pending' }));
      return 1;
    });
    await stranger.flow();
  });

  test('loses its address once its sandbox stops, whatever the API server says', async () => {
    const { agent, plugin } = await start();
    await plugin.stateChange(RUN, STARTED);
    expect((await agent.status()).enforced).toMatchObject({ isolatedAddresses: 1 });
    await plugin.stateChange(STOP, STARTED);
    expect((await agent.status()).enforced).toMatchObject({ isolatedAddresses: 0 });
    await agent.inForce(async () => {
      await world.set(reported({ app: 'server' }, { phase: 'Running', podIP: '10.244.1.1' }));
      return 1;
    });
    expect((await agent.status()).enforced).toMatchObject({ isolatedAddresses: 0 });
  });

  test.each([
    { fail: 'closed', code: 2, counts: { refused: 1, unjudged: 0 }, says: 'a pod is refused' },
    {
      fail: 'open',
      code: 0,
      counts: { refused: 0, unjudged: 1 },
      says: 'a pod starts before its policies are in force',
    },
  ])(
    'whose policies are not in force in time is treated as --fail $fail says',
    async ({ fail, code, counts, says }) => {
      const held = holdTool('ipset');
      const { agent, plugin } = await start('--fail', fail, '--steering', 'iptables');
      writeFileSync(held, '');
      const answer = await plugin.stateChange(RUN, STARTED);
      expect(answer.code).toBe(code);
      if (code !== 0)
        expect(answer.message).toContain('the policies of this pod are not in force: it takes more than 1.5 s');
      await agent.logged('what became of the pod', ({ msg }) => msg.startsWith(says));
      expect((await agent.status()).podStarts).toMatchObject({ inForce: 0, ...counts });
      rmSync(held);
      await agent.shows('the pod isolated', ({ enforced }) => enforced.isolatedAddresses === 1);
    },
  );

  test('is not waited for once the runtime is gone, and again when it is back', async () => {
    const { agent } = await start();
    await runtime.close();
    await agent.logged('that the connection is lost', ({ msg }) =>
      msg.startsWith('there is no connection to the container'),
    );
    expect((await agent.status()).podStarts).toMatchObject({ state: 'lost', lastError: expect.any(String) });
    await runtime.listen();
    const plugin = await runtime.plugin();
    await plugin.start(STARTED);
    await agent.shows('the runtime again', ({ podStarts }) => podStarts.state === 'runtime');
    expect(await plugin.stateChange(RUN, STARTED)).toMatchObject({ code: 0 });
  });

  test('starts unjudged, and is counted, if the runtime does not report its address', async () => {
    const { agent, plugin } = await start();
    const unaddressed = { id: 'sandbox-1', uid: UID, namespace: 'shop', name: 'server', netnsPath: '/run/netns/none' };
    expect(await plugin.stateChange(RUN, sandbox(unaddressed))).toMatchObject({ code: 0 });
    await agent.logged('so', ({ msg }) => msg.startsWith('the container runtime does not report the addresses'));
    expect((await agent.status()).podStarts).toMatchObject({ state: 'unaddressed', refused: 0, unjudged: 1 });
    await agent.inForce(async () => {
      await world.set(reported({ app: 'server' }, { phase: 'Running', podIP: '10.244.1.1' }));
      return 1;
    });
    expect((await agent.status()).enforced).toMatchObject({ isolatedAddresses: 1 });
  });

  test('is reported as unannounced where no runtime listens', async () => {
    await runtime.close();
    const agent = await world.startAgent('--nri', runtime.path);
    await agent.logged('so', ({ msg }) => msg.startsWith('no container runtime listens at the NRI socket'));
    expect((await agent.status()).podStarts.state).toBe('absent');
  });

  /**
   * Puts a tool first on the agent's PATH that waits for as long as the returned file exists.
   */
  function holdTool(name: string): string {
    const folder = join(world.folder, 'held');
    const held = join(folder, 'held');
    mkdirSync(folder, { recursive: true });
    shimTool(folder, name, `while [ -e ${held} ]; do sleep 0.02; done`);
    onTestFinished(() => rmSync(held, { force: true }));
    world.environment = { PATH: `${folder}:${process.env.PATH}` };
    return held;
  }
});
