/** Two thousand pods are added, changed and removed while traffic flows. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApiObject } from '../kube/object-history.ts';
import { pod, policy } from '../kube/objects.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld, CLIENT, NODE, relabelled } from './agent-world.ts';
import { DeniedTraffic } from './denied-traffic.ts';
import { app, FRIEND_ALLOWED, serverHears } from './policies.ts';
import type { RunningAgent } from './running-agent.ts';

const PODS = 2000;
/** Every tenth pod is on this node. */
const IS_HERE = 10;
/** The most that the process may grow, in bytes. It includes memory that is not collected yet. */
const MOST_GROWTH = 150e6;
/** Number of changes made at the same time. */
const AT_ONCE = 100;
const WORKERS_ALLOWED = serverHears('workers', app('worker'));
const WORKERS_ISOLATED = policy('shop', 'isolated', { podSelector: { matchLabels: { app: 'worker' } }, ingress: [] });

const names = Array.from({ length: PODS }, (_, number) => number);

describeAsRoot('Two thousand pods', () => {
  let world: AgentWorld;
  let agent: RunningAgent;
  let memory: number;
  let clientChanges = 0;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED, WORKERS_ALLOWED, WORKERS_ISOLATED]);
    agent = await world.startAgent();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  /**
   * Changes pods in batches, and waits until each batch is in force. In every batch one pod with a
   * real network changes, too.
   */
  async function inBatches(
    change: (number: number) => Promise<unknown>,
    concerns = (_: number) => true,
  ): Promise<void> {
    for (let start = 0; start < PODS; start += AT_ONCE) {
      const some = names.slice(start, start + AT_ONCE).filter(concerns);
      await relabelClient((start / AT_ONCE) % 2 === 0 ? 'worker' : 'idle');
      await agent.inForce(async () => {
        await Promise.all(some.map(change));
        return some.length;
      });
    }
  }

  async function relabelClient(label: string): Promise<void> {
    clientChanges++;
    await world.set(relabelled(CLIENT, { app: label, version: String(clientChanges) }));
  }

  test('are added, changed and removed; no open connection loses a packet, and nothing denied gets through', async () => {
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
    using client = new Connections(world.lab, 'shop/client', 'shop/server', 7003);
    using attempts = new DeniedTraffic(world.lab.pod('shop/stranger'), world.lab.pod('shop/server'));
    await friend.flow();
    await expectCut(client);
    memory = await memoryOf(agent);
    await inBatches((number) => world.set(peer(number, 'idle')));
    await inBatches((number) => world.set(peer(number, 'worker')));
    await friend.flow();
    await inBatches((number) => {
      const { metadata } = peer(number, '');
      return number % 2 === 0
        ? world.api.call('delete', 'Pod', metadata.namespace, metadata.name)
        : world.set(peer(number, 'idle'));
    });
    await inBatches(
      (number) => world.set(peer(number, number % 4 === 1 ? 'worker' : 'busy')),
      (number) => number % 2 === 1,
    );
    await agent.inForce(async () => {
      await relabelClient('worker');
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
    // The server, the client, and the workers on this node: of the numbers 1, 11, 21, … those that
    // are 1 more than a multiple of 4.
    const workersHere = names.filter((number) => number % IS_HERE === 1 && number % 4 === 1).length;
    expect(enforced.isolatedAddresses).toBe(2 + workersHere);
    await world.change(agent, [FRIEND_ALLOWED, WORKERS_ISOLATED]);
    await expectCut(client);
    await friend.expectNothingLost();
  });

  test('leave a complete count of changes, and memory that does not keep growing', async () => {
    const metrics = await agent.metrics();
    const { changesInForce } = agent;
    // Objects that exist at the start are no event.
    expect(metrics.sum('podfence_event_to_enforcement_seconds_count')).toBe(changesInForce.length - 1);
    expect(changesInForce.length).toBeGreaterThan(50);
    expect(metrics.sum('podfence_changed_records_total')).toBe(changesInForce.reduce((sum, count) => sum + count, 0));
    expect(metrics.sum('podfence_rule_table_generation')).toBe(changesInForce.length);
    expect(metrics.sum('podfence_worker_restarts_total')).toBe(0);
    const grown = (await memoryOf(agent)) - memory;
    expect(grown).toBeLessThan(MOST_GROWTH);
  });
});

/** Resident memory in bytes. */
async function memoryOf(agent: RunningAgent): Promise<number> {
  return (await agent.metrics()).sum('process_resident_memory_bytes');
}

function peer(number: number, label: string): ApiObject {
  const ip = `10.245.${number >> 8}.${number & 255}`;
  const node = number % IS_HERE === 1 ? NODE : `node-${2 + (number % IS_HERE)}`;
  return pod('shop', `pod-${number}`, { ip, node, labels: { app: label } });
}
