/** A policy that would need more of the rule table than it may use. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Answer } from '../../src/explain/explanation.ts';
import { policy } from '../kube/objects.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { getIn } from './http-in-netns.ts';
import { CLIENT_ALLOWED, FRIEND_ALLOWED } from './policies.ts';

const QUERIES = { address: '127.0.0.1', port: 9465 };

/**
 * 525 KB: 5,000 rules, each for a large block except one address of its own, at its own port; and
 * one rule for everybody.
 */
const COSTLY = policy('shop', 'costly', {
  podSelector: { matchLabels: { app: 'server' } },
  ingress: [
    {},
    ...Array.from({ length: 5000 }, (_, i) => ({
      from: [{ ipBlock: { cidr: '20.0.0.0/8', except: [`20.${i >> 8}.${i & 255}.7/32`] } }],
      ports: [{ port: 2 * i + 1 }],
    })),
  ],
});

const OTHER = policy('visitors', 'other', { podSelector: {}, ingress: [] });

describeAsRoot('A policy that needs too much', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('closes its pods and is reported, others come into force, and all is as before once it is gone', async () => {
    const agent = await world.startAgent();
    using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7003);
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
    await stranger.flow();
    await friend.flow();

    // Another namespace's change arrives at the same time, and comes into force with it.
    using visitor = new Connections(world.lab, 'shop/friend', 'visitors/visitor', 7005);
    await visitor.flow();
    await agent.inForce(() => world.become([COSTLY, OTHER]));
    await expectCut(visitor);
    await agent.logged('that the policy is refused', ({ msg }) =>
      msg.includes('policy shop/costly isolates its pods and allows nothing: its ipBlocks ask for more than'),
    );
    await expectCut(stranger);
    await expectCut(friend);
    const { refusedPolicies } = await agent.status();
    expect(refusedPolicies).toMatchObject({ count: 1, listed: [{ policy: 'shop/costly' }] });
    expect((await agent.metrics()).sum('podfence_refused_policies')).toBe(1);
    const { body } = await getIn(world.node, QUERIES, '/explain?from=shop/stranger&to=shop/server&port=7003');
    const [way] = (JSON.parse(body) as Answer).ways;
    expect(way?.sides.ingress.nearMisses[0]?.sentence).toContain('has an error, so it isolates its pods');

    await agent.inForce(() => world.become([COSTLY, FRIEND_ALLOWED]));
    using again = new Connections(world.lab, 'shop/friend', 'shop/server', 7011);
    await again.flow();
    await expectCut(stranger);

    await agent.inForce(() => world.become([FRIEND_ALLOWED, CLIENT_ALLOWED]));
    await agent.logged('that no policy is refused', ({ msg }) =>
      msg.includes('are now in force as written, or deleted'),
    );
    expect((await agent.status()).refusedPolicies.count).toBe(0);
    await again.expectNothingLost();
  });
});
