/**
 * The order of a start: nothing is enforced from incomplete lists, and /readyz reports the
 * progress.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { population } from '../kube/population.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld, NODE } from './agent-world.ts';
import { FRIEND_ALLOWED } from './policies.ts';
import { CLI } from './running-agent.ts';

describeAsRoot('The agent starts', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED], { streamingLists: 'refused' });
    // More pods than fit one page.
    await world.set(...population({ pods: 600, podBytes: 600, policies: 0 }));
  });
  afterEach(async () => {
    await world.killAgents();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('SIGTERM while it waits for the first lists ends it at once', async () => {
    await world.api.call('fail', { answer: 'hang', times: 3 });
    const agent = world.spawnAgent();
    await agent.serves();
    expect(await agent.terminate()).toBe(0);
    await world.api.call('heal');
    expect(await world.onNode('iptables-save')).not.toContain('PODFENCE');
  });

  test('with a warning if no pod of the cluster is on its node, and the name that is probably right', async () => {
    const agent = world.spawnAgent('--node-name', 'node-l');
    await agent.ready();
    const doubt = agent.log.find(({ msg }) => msg.startsWith('no pod of the cluster is on this node'));
    expect(doubt).toMatchObject({ level: 'warn', node: 'node-l', nearest: NODE });
    expect((await agent.status()).enforced).toMatchObject({ policies: 1, isolatedEndpoints: 0 });
    expect(await agent.terminate()).toBe(0);
    const right = await world.startAgent();
    expect(right.log.filter(({ level }) => ['warn', 'error', 'fatal'].includes(level))).toEqual([]);
  });

  test('SIGTERM while it brings the policies into force ends it, too, and the next agent takes over', async () => {
    const agent = world.spawnAgent();
    await agent.logged('the last list', ({ msg, kind }) => msg === 'list complete' && kind === 'Pod');
    expect(await agent.terminate()).toBe(0);
    await world.startAgent();
  });

  test.each(['Pod', 'Namespace', 'NetworkPolicy'] as const)(
    'and enforces nothing while the list of %s is incomplete, then everything',
    async (kind) => {
      await world.onNode(process.execPath, CLI, 'cleanup');
      // The first page of the pods arrives.
      await world.api.call('fail', { kind, type: 'list', skip: kind === 'Pod' ? 1 : 0, answer: 'hang' });
      const agent = world.spawnAgent();
      await agent.serves();
      const others = ['Pod', 'Namespace', 'NetworkPolicy'].filter((other) => other !== kind);
      const { source } = await agent.shows('the other lists', (status) =>
        others.every((other) => status.source.kinds.some((each) => each.kind === other && each.synced)),
      );
      expect(source.kinds.find((each) => each.kind === kind)).toMatchObject({ synced: false, lists: 0 });
      expect(await agent.get('/healthz')).toMatchObject({ status: 200 });
      const { status, body } = await agent.get('/readyz');
      expect(status).toBe(503);
      expect(body).toMatch(
        new RegExp(`^not ready: waiting for the first list of ${kind} from http://127.0.0.1:\\d+; nothing known yet`),
      );

      using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
      using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7003);
      await Promise.all([friend.flow(), stranger.flow()]);
      await stranger.expectNothingLost();
      expect((await agent.status()).enforced).toMatchObject({ generation: 0, policies: 0, isolatedAddresses: 0 });
      expect(await world.onNode('iptables-save')).not.toContain('PODFENCE');

      // The hanging request is cut; the agent resumes where it was.
      const port = Number(new URL(await world.api.call('url')).port);
      await world.api.call('goAway');
      await world.api.call('listen', port);
      await agent.ready();
      expect((await agent.get('/readyz')).body).toMatch(
        /^policies in force since \d{4}-.*; the API server .* last heard \d/,
      );
      await expectCut(stranger);
      await friend.flow();
      await friend.expectNothingLost();
      expect((await agent.status()).enforced).toMatchObject({ generation: 1, isolatedAddresses: 1 });
    },
  );
});
