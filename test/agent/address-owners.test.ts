/** An address that the records of two pods contain. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApiObject } from '../kube/object-history.ts';
import { namespace, pod } from '../kube/objects.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld, SERVER } from './agent-world.ts';
import { FRIEND_ALLOWED } from './policies.ts';

/** Has the server's address, and comes after it in key order. */
const WORKER = pod('worker', 'worker', { ip: '10.244.1.1', node: 'node-9' });
const LEFT_OVER = { ...WORKER, metadata: { ...WORKER.metadata, deletionTimestamp: '2026-11-30T03:04:05Z' } };
const SERVER_NAME = `${SERVER.metadata.namespace}/${SERVER.metadata.name}`;

describeAsRoot('An address that two pods have', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
    await world.set(namespace('worker'), LEFT_OVER);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  async function set(object: ApiObject): Promise<number> {
    await world.set(object);
    return 1;
  }

  test('belongs to the pod that lives; while both live, it may only do what both may, and the agent reports it', async () => {
    const agent = await world.startAgent();
    using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7003);
    await expectCut(stranger);
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
    await friend.flow();
    expect((await agent.status()).sharedAddresses).toEqual({ count: 0, listed: [] });

    const pods = [SERVER_NAME, 'worker/worker'];
    await agent.inForce(() => set(WORKER));
    await agent.logged('whose address it is', ({ msg }) => msg.includes(`is shared by ${pods.join(' and ')}:`));
    expect((await agent.status()).sharedAddresses).toEqual({ count: 1, listed: [{ address: '10.244.1.1', pods }] });
    expect((await agent.metrics()).sum('podfence_shared_addresses')).toBe(1);
    await expectCut(stranger);
    await friend.flow();
    await friend.expectNothingLost();

    await agent.inForce(() => set(LEFT_OVER));
    await agent.logged('that it has one owner', ({ msg }) => msg.includes('now belong to one pod'));
    expect((await agent.status()).sharedAddresses.count).toBe(0);
  });
});
