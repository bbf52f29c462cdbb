/**
 * The kernel's rules are shared by all software on the node: others flush them, and the tools that
 * write them may fail or hang.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { policy } from '../kube/objects.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { useVariant } from './iptables-variant.ts';
import { app, CLIENT_ALLOWED, FRIEND_ALLOWED } from './policies.ts';
import { shimTool } from './tool-shim.ts';

/** Isolates one more pod, so that the set of isolated addresses has to grow. */
const FRIEND_ISOLATED = policy('shop', 'friend-isolated', { podSelector: app('friend').podSelector, ingress: [] });

describeAsRoot('Trouble with the kernel rules', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED, CLIENT_ALLOWED]);
  });
  afterEach(async () => {
    await world.killAgents();
    for (const tool of ['iptables-nft', 'iptables-legacy', 'ip6tables-nft', 'ip6tables-legacy'])
      await world.onNode('sh', '-c', `for t in security mangle; do ${tool} -t $t -F; ${tool} -t $t -X; done`);
    await world.onNode('ipset', 'destroy');
    world.environment = {};
    await world.become([FRIEND_ALLOWED, CLIENT_ALLOWED]);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test.each([
    {
      what: 'rules of legacy iptables',
      tools: 'legacy' as const,
      command: 'iptables-legacy -t security -F; iptables-legacy -t mangle -F',
      changed: [
        ['security', 'FORWARD'],
        ['mangle', 'POSTROUTING'],
      ].flatMap(([table, hook]) => [
        `iptables, table ${table}: chain PODFENCE-${hook} is empty`,
        `iptables, table ${table}: the jump from ${hook} to PODFENCE-${hook} is gone`,
      ]),
    },
    {
      what: 'addresses',
      tools: 'nft' as const,
      command: 'for set in $(ipset list -name); do ipset flush $set; done',
      changed: ['set podfence-steered-4 lacks 1 of 1 address'],
    },
  ])(
    '$what that other software flushes are restored, what passed meanwhile is cut, and the log says what was flushed and how long no agent judged',
    async ({ tools, command, changed }) => {
      useVariant(world, tools);
      const agent = await world.startAgent();
      using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
      await friend.flow();
      const from = agent.log.length;
      const flushed = Date.now();
      await world.onNode('sh', '-c', command);
      using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7003);
      using late = new Connections(world.lab, 'shop/friend', 'shop/server', 7005);
      await stranger.flow();
      await late.flow();
      const line = await agent.logged('that it repaired', ({ msg }) => msg.includes('are in place again'), from);
      expect(line.changed).toEqual(changed);
      expect(Date.parse(String(line.lastGood))).toBeLessThan(flushed + 1000);
      expect(Number(line.unjudgedSecondsAtMost) * 1000).toBeGreaterThanOrEqual(
        new Date(line.time as string).getTime() - flushed - 1000,
      );
      await expectCut(stranger);
      using another = new Connections(world.lab, 'shop/stranger', 'shop/server', 7007);
      await expectCut(another);
      await friend.expectNothingLost();
      await late.expectNothingLost();
      expect((await agent.metrics()).sum('podfence_steering_repairs_total')).toBe(1);
      expect((await agent.get('/readyz')).status).toBe(200);
    },
  );

  test.each([
    { tool: 'fails', script: 'exit 1' },
    { tool: 'hangs', script: 'exec sleep 60' },
  ])(
    'a revoked connection is cut even if a tool $tool, and the agent is not ready until the change is in force',
    async ({ script }) => {
      const broken = breakable(world.folder, 'ipset', script);
      world.environment = { PATH: `${world.folder}:${process.env.PATH}` };
      const agent = await world.startAgent();
      using client = new Connections(world.lab, 'shop/client', 'shop/server', 7001);
      using friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7003);
      await client.flow();
      await friend.flow();
      broken.now();
      await world.become([FRIEND_ALLOWED, FRIEND_ISOLATED]);
      await agent.shows('that it is not ready', ({ ready }) => !ready);
      await expectCut(client);
      await friend.expectNothingLost();
      expect((await agent.metrics()).sum('podfence_pending_change_age_seconds')).toBeGreaterThan(0);
      broken.noMore();
      await agent.shows('that it is ready again', ({ ready }) => ready);
      expect((await agent.metrics()).sum('podfence_pending_change_age_seconds')).toBe(0);
    },
  );
});

/** Installs a command in `folder` that calls the machine's own until it is broken. */
function breakable(folder: string, command: string, script: string): { now(): void; noMore(): void } {
  const flag = join(folder, 'broken');
  shimTool(folder, command, `if [ -e ${flag} ]; then ${script}; fi`);
  return { now: () => writeFileSync(flag, ''), noMore: () => rmSync(flag) };
}
