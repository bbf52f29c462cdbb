/**
 * Every change that revokes an allowance is enforced on open connections that the kernel carries by
 * itself, and on no others. Tests make changes at the API server; nothing that is sent after the
 * agent logs "in force" may arrive.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { namespace, pod, policy } from '../kube/objects.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld, CLIENT, type Differences, relabelled, SERVER, VISITORS, webPorts } from './agent-world.ts';
import { app, CLIENT_ALLOWED, FRIEND_ALLOWED, serverHears, team } from './policies.ts';
import type { RunningAgent } from './running-agent.ts';

const CLIENT_OTHERWISE = serverHears('client-again', app('client'));
const TRUSTED_ALLOWED = serverHears('trusted', team('trusted'));
const NAMED_PORTS = serverHears('client', app('client'), [{ port: 'web' }, { port: 'web-udp', protocol: 'UDP' }]);
const CLIENT_ADDRESS = '10.244.1.2';

/** Another pod in place of the client, with the client's address. */
const instead = (name: string, labels: Readonly<Record<string, string>>): Differences => ({
  without: [CLIENT],
  others: [pod('shop', name, { ip: CLIENT_ADDRESS, labels })],
});
const insteadOf = (object: typeof CLIENT, other: typeof CLIENT): Differences => ({
  without: [object],
  others: [other],
});

describeAsRoot('Changes at the API server, on open connections', () => {
  let world: AgentWorld;
  let agent: RunningAgent;
  /** The friend is always allowed, and no change affects it. */
  let unconcerned: Connections;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
    agent = await world.startAgent();
    unconcerned = new Connections(world.lab, 'shop/friend', 'shop/server', 7999);
    await unconcerned.flow();
  });
  afterAll(async () => {
    unconcerned[Symbol.dispose]();
    await world[Symbol.asyncDispose]();
  });

  /** Opens allowed connections that the kernel carries by itself once this resolves. */
  async function open(from: string, policies: Parameters<AgentWorld['become']>[0]): Promise<Connections> {
    await world.change(agent, policies);
    const connections = new Connections(world.lab, from, 'shop/server', 7001);
    await connections.flow();
    const { judged } = (await agent.status()).packets;
    await connections.flow();
    expect((await agent.status()).packets.judged, 'judged while they flow').toBe(judged);
    return connections;
  }

  /** The change cuts these connections, and no others. */
  async function cuts(
    connections: Connections,
    policies: Parameters<AgentWorld['become']>[0],
    differences?: Differences,
  ) {
    const before = await agent.status();
    await world.change(agent, policies, differences);
    await expectCut(connections);
    const after = await agent.status();
    expect(after.enforced.generation).toBeGreaterThan(before.enforced.generation);
    expect(after.lag.lastChange?.at).not.toBe(before.lag.lastChange?.at);
    await unconcerned.expectNothingLost();
  }

  test('a policy that is deleted, while another still isolates', async () => {
    using client = await open('shop/client', [FRIEND_ALLOWED, CLIENT_ALLOWED]);
    await cuts(client, [FRIEND_ALLOWED]);
    await world.change(agent, [FRIEND_ALLOWED, CLIENT_ALLOWED]);
    await client.flow();
  });

  test('a policy that is edited', async () => {
    using client = await open('shop/client', [FRIEND_ALLOWED, CLIENT_ALLOWED]);
    await cuts(client, [FRIEND_ALLOWED, serverHears('client', app('nobody'))]);
  });

  test("a peer's labels", async () => {
    using client = await open('shop/client', [FRIEND_ALLOWED, CLIENT_ALLOWED]);
    await cuts(client, [FRIEND_ALLOWED, CLIENT_ALLOWED], insteadOf(CLIENT, relabelled(CLIENT, { app: 'retired' })));
  });

  test("a namespace's labels", async () => {
    using visitor = await open('visitors/visitor', [FRIEND_ALLOWED, TRUSTED_ALLOWED]);
    const policies = [FRIEND_ALLOWED, TRUSTED_ALLOWED];
    await cuts(visitor, policies, insteadOf(VISITORS, namespace('visitors', { team: 'strange' })));
  });

  test('a pod that is gone, and other pods that get its address', async () => {
    using client = await open('shop/client', [FRIEND_ALLOWED, CLIENT_ALLOWED]);
    const policies = [FRIEND_ALLOWED, CLIENT_ALLOWED];
    await cuts(client, policies, { without: [CLIENT] });
    await cuts(client, policies, instead('impostor', { app: 'impostor' }));
    await world.change(agent, policies, instead('successor', { app: 'client' }));
    await client.flow();
    await cuts(client, policies, instead('another', { app: 'another' }));
  });

  test('the numbers of named ports', async () => {
    using client = await open('shop/client', [FRIEND_ALLOWED, NAMED_PORTS]);
    const policies = [FRIEND_ALLOWED, NAMED_PORTS];
    await cuts(client, policies, insteadOf(SERVER, pod('shop', 'server', { ip: '10.244.1.1', ports: webPorts(7101) })));
    using there = new Connections(world.lab, 'shop/client', 'shop/server', 7101);
    await there.flow();
  });

  test('that do not affect a connection do not cause it to be judged again', async () => {
    using client = await open('shop/client', [FRIEND_ALLOWED, CLIENT_ALLOWED]);
    const { rejudged } = (await agent.status()).flows;
    const elsewhere = [
      pod('elsewhere', 'far', { ip: '10.250.0.1', node: 'node-9' }),
      pod('shop', 'near', { ip: '10.250.0.2', labels: { app: 'near' } }),
      policy('elsewhere', 'theirs', { podSelector: {}, ingress: [] }),
      policy('shop', 'near', { podSelector: { matchLabels: { app: 'near' } }, ingress: [] }),
    ];
    for (const object of elsewhere) await agent.inForce(() => world.set(object).then(() => 1));
    const relabel = pod('shop', 'near', { ip: '10.250.0.2', labels: { app: 'near', version: '2' } });
    await agent.inForce(() => world.set(relabel).then(() => 1));
    expect((await agent.status()).flows.rejudged).toBe(rejudged);
    await client.expectNothingLost();
    await world.change(agent, [FRIEND_ALLOWED, CLIENT_ALLOWED, CLIENT_OTHERWISE]);
    expect((await agent.status()).flows.rejudged).toBeGreaterThan(rejudged);
  });

  test('a connection that another rule still allows goes on without loss', async () => {
    using client = await open('shop/client', [FRIEND_ALLOWED, CLIENT_ALLOWED]);
    const { revoked } = (await agent.status()).flows;
    await world.change(agent, [FRIEND_ALLOWED, CLIENT_ALLOWED, CLIENT_OTHERWISE]);
    await world.change(agent, [FRIEND_ALLOWED, CLIENT_OTHERWISE]);
    await client.flow();
    await client.expectNothingLost();
    await unconcerned.expectNothingLost();
    expect((await agent.status()).flows.revoked).toBe(revoked);
  });
});
