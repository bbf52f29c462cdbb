/** How the agent reports a named port that no selected pod has. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { policy } from '../kube/objects.ts';
import { describeAsRoot } from '../root.ts';
import { AgentWorld } from './agent-world.ts';
import { app } from './policies.ts';

const named = (port: string) =>
  policy('shop', 'named', { podSelector: app('server').podSelector, ingress: [{ ports: [{ port }] }] });

describeAsRoot('A policy with a named port that no selected pod has', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([named('wbe')]);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('is in the log, and in /status until it is fixed', async () => {
    const agent = await world.startAgent();
    const policyAndField = { policy: 'shop/named', field: 'spec.ingress[0].ports[0].port' };
    const line = await agent.logged('the name', ({ msg }) =>
      msg.includes('port named "wbe": the entry allows nothing'),
    );
    expect(line).toMatchObject({ level: 'warn', ...policyAndField, hint: 'Did you mean web?' });
    expect((await agent.status()).unknownPortNames).toMatchObject({ count: 1, listed: [policyAndField] });
    await world.change(agent, [named('web')]);
    await agent.shows('no such name any more', ({ unknownPortNames }) => unknownPortNames.count === 0);
  });
});
