/**
 * Audited policies beside enforced ones, by annotation, with real packets: what passes, what the
 * agent reports, and what happens when an annotation is removed.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApiObject } from '../kube/object-history.ts';
import { namespace, pod, policy } from '../kube/objects.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { seenFlow } from './flow-lines.ts';
import { app, serverHears } from './policies.ts';
import type { RunningAgent } from './running-agent.ts';

const hears = (name: string, peers: readonly object[]) => ({
  podSelector: { matchLabels: { app: name } },
  ingress: peers.length === 0 ? [] : [{ from: peers }],
});

function annotated(object: ApiObject, mode: string): ApiObject {
  return { ...object, metadata: { ...object.metadata, annotations: { 'podfence.io/mode': mode } } };
}

/** The namespace shop is audited, except for one policy, which is enforced. */
const SHOP = namespace('shop', { team: 'shop' });
const SERVER_HEARS_CLIENT = serverHears('client', app('client'));
const FRIEND_HEARS_CLIENT = annotated(policy('shop', 'friend', hears('friend', [app('client')])), 'enforce');
/** The namespace visitors is enforced, except for one policy, which is audited. */
const VISITOR_IS_DEAF = policy('visitors', 'deaf', hears('visitor', []));
const VISITOR_IS_AUDITED = annotated(VISITOR_IS_DEAF, 'audit');
const VISITOR_HEARS_FRIEND = annotated(
  policy('visitors', 'deaf', hears('visitor', [{ ...app('friend'), namespaceSelector: {} }])),
  'audit',
);
/** Everything in the namespace vault is enforced. */
const VAULT = namespace('vault');
const KEEPER = pod('vault', 'keeper', { ip: '10.244.1.5' });
const KEEPER_IS_DEAF = policy('vault', 'deaf', hears('keeper', []));
const STRANGER = pod('shop', 'stranger');

const POLICIES = [SERVER_HEARS_CLIENT, FRIEND_HEARS_CLIENT, VISITOR_IS_AUDITED, KEEPER_IS_DEAF];
const MIXED = { without: [STRANGER], others: [annotated(SHOP, 'audit'), VAULT, KEEPER] };
const ENFORCED = { without: [STRANGER], others: [SHOP, VAULT, KEEPER] };

describeAsRoot('Policies with their own modes', () => {
  let world: AgentWorld;
  let agent: RunningAgent;
  beforeAll(async () => {
    world = await AgentWorld.start();
    await world.become(POLICIES, MIXED);
    agent = await world.startAgent();
  });
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  const told = (line: object) => seenFlow(world.node, line);

  test('a namespace is audited: what its policies deny passes both ways, and is reported with their names', async () => {
    using visitor = new Connections(world.lab, 'visitors/visitor', 'shop/server', 7001);
    await visitor.flow();
    await visitor.expectNothingLost();
    const { policies } = await told({ verdict: 'would_deny', reason: 'ingress-denied', protocol: 'TCP', port: 7001 });
    expect(policies).toEqual([{ direction: 'ingress', namespace: 'shop', name: 'client', rule: null, field: null }]);
    await told({ verdict: 'would_deny', reason: 'ingress-denied', protocol: 'UDP', port: 7002 });
    expect((await agent.metrics()).sum('podfence_packets_total', { verdict: 'would_deny' })).toBeGreaterThan(1);
    expect((await agent.metrics()).sum('podfence_packets_total', { verdict: 'deny' })).toBe(0);
    const { wouldBeDenied, denied } = (await agent.status()).packets;
    expect({ wouldBeDenied, denied }).toEqual({ wouldBeDenied: 2, denied: 0 });
  });

  test('what they allow is reported as allowed by them', async () => {
    using client = new Connections(world.lab, 'shop/client', 'shop/server', 7003);
    await client.flow();
    const { verdict, policies } = await told({ protocol: 'TCP', port: 7003 });
    expect({ verdict, policies }).toMatchObject({ verdict: 'allow', policies: [{ name: 'client', rule: 1 }] });
  });

  test('a policy of the namespace that says enforce is enforced', async () => {
    using client = new Connections(world.lab, 'shop/client', 'shop/friend', 7005);
    await client.flow();
    using visitor = new Connections(world.lab, 'visitors/visitor', 'shop/friend', 7007);
    await expectCut(visitor);
    await told({ verdict: 'deny', reason: 'ingress-denied', protocol: 'TCP', port: 7007 });
  });

  test('a policy that says audit is audited, beside other namespaces that are enforced', async () => {
    using client = new Connections(world.lab, 'shop/client', 'visitors/visitor', 7009);
    await client.flow();
    await told({ verdict: 'would_deny', reason: 'ingress-denied', protocol: 'TCP', port: 7009 });
    using intruder = new Connections(world.lab, 'shop/client', 'shop/stranger', 7011);
    await expectCut(intruder);
    await told({ verdict: 'deny', reason: 'ingress-denied', protocol: 'TCP', port: 7011 });
  });

  test('removing an annotation cuts open connections that were audited, and no allowed one loses anything', async () => {
    using allowed = new Connections(world.lab, 'shop/client', 'shop/server', 7013);
    using denied = new Connections(world.lab, 'visitors/visitor', 'shop/server', 7015);
    await Promise.all([allowed.flow(), denied.flow()]);
    const { judged } = (await agent.status()).packets;
    await Promise.all([allowed.flow(), denied.flow()]);
    expect((await agent.status()).packets.judged, 'judged while the kernel carries them').toBe(judged);
    await world.change(agent, POLICIES, ENFORCED);
    await expectCut(denied);
    await allowed.flow();
    await allowed.expectNothingLost();
    await told({ verdict: 'deny', reason: 'revoked', protocol: 'TCP', port: 7015 });
  });

  test('a new audited policy lets open connections go on, and those that it would have cut are reported once', async () => {
    await world.change(agent, [SERVER_HEARS_CLIENT], ENFORCED);
    using friend = new Connections(world.lab, 'shop/friend', 'visitors/visitor', 7017);
    await friend.flow();
    await world.change(agent, [SERVER_HEARS_CLIENT, VISITOR_IS_AUDITED], ENFORCED);
    await friend.flow();
    const line = { verdict: 'would_deny', reason: 'revoked', protocol: 'TCP', port: 7017 };
    await told(line);
    await world.change(agent, [SERVER_HEARS_CLIENT, VISITOR_IS_AUDITED, KEEPER_IS_DEAF], MIXED);
    await friend.flow();
    await friend.expectNothingLost();
    expect(await told(line)).toMatchObject({ count: 1 });
  });

  test('an audited policy that revokes an allowance causes one report, and the kernel goes on carrying the connection', async () => {
    await world.change(agent, [VISITOR_HEARS_FRIEND], ENFORCED);
    using friend = new Connections(world.lab, 'shop/friend', 'visitors/visitor', 7021);
    await friend.flow();
    await world.change(agent, [VISITOR_IS_AUDITED], ENFORCED);
    await friend.flow();
    await told({ verdict: 'would_deny', reason: 'revoked', protocol: 'TCP', port: 7021, count: 1 });
    await told({ verdict: 'would_deny', reason: 'revoked', protocol: 'UDP', port: 7022, count: 1 });
    const { judged } = (await agent.status()).packets;
    await friend.flow();
    expect((await agent.status()).packets.judged, 'judged while the kernel carries it').toBe(judged);
    await friend.expectNothingLost();
  });

  test('an annotation with another value is reported, and the policy is enforced', async () => {
    const from = agent.log.length;
    await world.change(agent, [annotated(VISITOR_IS_DEAF, 'adit')], ENFORCED);
    const warning = await agent.logged(
      'that the mode is none',
      ({ problem }) => String(problem).includes('adit'),
      from,
    );
    expect(warning).toMatchObject({ kind: 'NetworkPolicy', object: 'visitors/deaf' });
    expect(warning.msg).not.toContain('allows nothing');
    using client = new Connections(world.lab, 'shop/client', 'visitors/visitor', 7019);
    await expectCut(client);
  });
});
