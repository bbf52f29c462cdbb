/** Two thousand pods come, change and go while traffic flows. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApiObject } from '../kube/object-history.ts';
import { pod } from '../kube/objects.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld, CLIENT, NODE, relabelled } from './agent-world.ts';
import { DeniedTraffic } from './denied-traffic.ts';
import { app, FRIEND_ALLOWED, serverHears } from './policies.ts';
import { policy } from '../kube/objects.ts';
import type { RunningAgent } from './running-agent.ts';

const PODS = 2000;
/** Every tenth pod is on this node. */
const IS_HERE = 10;
/** Changes that are on their way at the same time. */
const AT_ONCE = 50;
const WORKERS_ALLOWED = serverHears('workers', app('worker'));
const WORKERS_ISOLATED = policy('shop', 'isolated', { podSelector: { matchLabels: { app: 'worker' } }, ingress: [] });

const names = Array.from({ length: PODS }, (_, number) => number);

describeAsRoot('Two thousand pods', () => {
  let world: AgentWorld;
  let agent: RunningAgent;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED, WORKERS_ALLOWED, WORKERS_ISOLATED]);
    agent = await world.startAgent();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('come, change and go, and nothing that is open loses a packet, nothing denied gets through', async () => {
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
    using client = new Connections(world.lab, 'shop/client', 'shop/server', 7003);
    using attempts = new DeniedTraffic(world.lab.pod('shop/stranger'), world.lab.pod('shop/server'));
    await friend.flow();
    await expectCut(client);
    const memory = (await agent.metrics()).sum('process_resident_memory_bytes');

    await inBatches((number) => world.set(peer(number, 'idle')));
    await inBatches(async (number) => {
      await world.set(peer(number, 'worker'));
      // Of the network's own pods, one changes as often.
      if (number % AT_ONCE === 0) await world.set(relabelled(CLIENT, { app: number % 100 === 0 ? 'worker' : 'idle' }));
    });
    await friend.flow();
    await inBatches(async (number) => {
      if (number % 2 === 0) await world.api.call('delete', 'Pod', 'shop', peer(number, '').metadata.name);
      else await world.set(peer(number, 'idle'));
    });
    await inBatches(async (number) => {
      if (number % 4 === 1) await world.set(peer(number, 'worker'));
    });
    await agent.inForce(async () => {
      await world.set(relabelled(CLIENT, { app: 'worker' }));
      return 1;
    });

    await client.flow();
    await friend.expectNothingLost();
    await attempts.expectNothingDelivered();
    const { enforced, source } = await agent.shows(
      'half of the pods',
      ({ source }) => source.kinds.find(({ kind }) => kind === 'Pod')?.records === PODS / 2 + 5,
    );
    expect(source.kinds.every(({ lists, watching }) => lists === 1 && watching)).toBe(true);
    // The server, the client, and of the workers those of this node: numbers 1, 11, 21 … that are 1 more than a multiple of 4.
    const workersHere = names.filter((number) => number % IS_HERE === 1 && number % 4 === 1).length;
    expect(enforced.isolatedAddresses).toBe(2 + workersHere);
    await world.change(agent, [FRIEND_ALLOWED, WORKERS_ISOLATED]);
    await expectCut(client);
    await friend.expectNothingLost();
  });

  test('leave a complete count of changes, and no memory that only grows', async () => {
    const metrics = await agent.metrics();
    const { changesInForce } = agent;
    expect(metrics.sum('podfence_event_to_enforcement_seconds_count')).toBe(changesInForce.length);
    expect(metrics.sum('podfence_changed_records_total')).toBe(changesInForce.reduce((sum, count) => sum + count, 0));
    expect(metrics.sum('podfence_rule_table_generation')).toBe(changesInForce.length);
    expect(metrics.sum('podfence_worker_restarts_total')).toBe(0);
  });
});

/** Does something for every pod's number, a few of them at a time. */
async function inBatches(change: (number: number) => Promise<unknown>): Promise<void> {
  for (let start = 0; start < PODS; start += AT_ONCE) {
    await Promise.all(names.slice(start, start + AT_ONCE).map(change));
  }
}

function peer(number: number, label: string): ApiObject {
  const ip = `10.245.${number >> 8}.${number & 255}`;
  const node = number % IS_HERE === 1 ? NODE : `node-${2 + (number % IS_HERE)}`;
  return pod('shop', `pod-${number}`, { ip, node, labels: { app: label } });
}
