/** What an agent finds about its node in passing: in /status, and as warnings in the log. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Netns } from '../../src/sys/netns.ts';
import { shell } from '../dataplane/steering/pods.ts';
import { describeAsRoot } from '../root.ts';
import { AgentWorld } from './agent-world.ts';

describeAsRoot('An agent that starts', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('real: says that pods of its node are on a bridge that skips the packet filter, and what else it found', async () => {
    const { netns } = world.node;
    using pod = Netns.create();
    shell(netns, `ip link add cni0 type bridge; ip link add port1 type veth peer name eth0 netns ${pod.path}`);
    shell(netns, 'ip link set port1 master cni0');
    shell(netns, 'for each in iptables ip6tables; do echo 0 > /proc/sys/net/bridge/bridge-nf-call-$each; done');

    const agent = await world.startAgent();
    const { findings } = await agent.shows('what it found', (status) => status.findings.length > 0);
    const of = (check: string) => findings.filter((each) => each.check === check);
    expect(of('bridge-filter')).toEqual([expect.objectContaining({ code: 'PD201', severity: 'problem' })]);
    expect(of('lost-first-packets')).toHaveLength(1);
    expect(of('memory-limit')).toEqual([expect.objectContaining({ severity: 'ok' })]);
    expect(of('queues')).toEqual([
      expect.objectContaining({ severity: 'ok', message: expect.stringContaining('podfence reads its') }),
    ]);

    const warned = agent.log.filter(({ code }) => code !== undefined);
    expect(warned).toEqual([
      expect.objectContaining({
        level: 'warn',
        code: 'PD201',
        advice: expect.stringContaining('modprobe br_netfilter'),
      }),
    ]);
  });
});
