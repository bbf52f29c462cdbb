/**
 * The taint that keeps pods from a new node is removed once the policies are in force there, not
 * before.
 */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { AgentWorld, NODE } from './agent-world.ts';
import { FRIEND_ALLOWED } from './policies.ts';

const KEY = 'podfence.io/agent-not-ready';
const TAINTS = [
  { key: 'example.com/gpu', effect: 'NoSchedule' },
  { key: KEY, effect: 'NoSchedule' },
];

describeAsRoot('The start-up taint', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('stays while the policies are not in force, and is removed when they are', async () => {
    await world.api.call('setNode', NODE, TAINTS);
    await world.api.call('fail', { type: 'streaming-list', kind: 'NetworkPolicy', answer: 'hang' });
    const agent = world.spawnAgent('--startup-taint', KEY);
    onTestFinished(() => agent.end());
    await agent.serves();
    await agent.shows('all lists but one', ({ source }) => source.kinds.filter(({ synced }) => !synced).length === 1);
    expect((await agent.status()).startupTaint).toMatchObject({ key: KEY, state: 'waiting' });
    expect(await world.api.call('taintsOf', NODE)).toEqual(TAINTS);

    // The hanging request is cut; the agent resumes where it was.
    const port = Number(new URL(await world.api.call('url')).port);
    await world.api.call('goAway');
    await world.api.call('listen', port);
    await agent.ready();
    await agent.shows('that it is gone', ({ startupTaint }) => startupTaint?.state === 'removed');
    expect(await world.api.call('taintsOf', NODE)).toEqual(TAINTS.slice(0, 1));
    const words = agent.log.map(({ msg }) => msg);
    const gone = words.findIndex((msg) => msg.startsWith('removed the start-up taint'));
    expect(gone).toBeGreaterThan(words.indexOf('enforcing'));
  });

  test('stays without the right to patch the node, which the agent reports, and enforces all the same', async () => {
    await world.api.call('setNode', NODE, TAINTS);
    await world.api.call('allowNodes', false);
    const agent = await world.startAgent('--startup-taint', KEY);
    onTestFinished(() => agent.end());
    const line = await agent.logged('so', ({ reason }) => reason === 'forbidden');
    expect(line).toMatchObject({ taint: KEY, msg: expect.stringContaining('apply daemonset/startup-taint') });
    const { ready, startupTaint, enforced } = await agent.status();
    expect({ ready, enforced }).toMatchObject({ ready: true, enforced: { isolatedEndpoints: 1 } });
    expect(startupTaint).toMatchObject({ state: 'failing', lastError: expect.stringContaining('403') });
    expect(await world.api.call('taintsOf', NODE)).toEqual(TAINTS);
  });

  test('is not touched without the setting', async () => {
    await world.api.call('setNode', NODE, TAINTS);
    await world.api.call('allowNodes', true);
    const agent = await world.startAgent();
    onTestFinished(() => agent.end());
    expect((await agent.status()).startupTaint).toBeNull();
    expect(await world.api.call('taintsOf', NODE)).toEqual(TAINTS);
  });
});
