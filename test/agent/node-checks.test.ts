/**
 * What a starting and a running agent finds about its node: in /status, and as warnings in the log.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tellChanges } from '../../src/agent/node-checks.ts';
import { finding } from '../../src/doctor/finding.ts';
import { Netns } from '../../src/sys/netns.ts';
import type { Status } from '../../src/telemetry/status.ts';
import { shell } from '../dataplane/steering/pods.ts';
import { describeAsRoot } from '../root.ts';
import { AgentWorld } from './agent-world.ts';
import type { Message } from './looking-agent.ts';

describeAsRoot('An agent that starts', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('real: warns of pods on a bridge that skips the packet filter and of IPVS, and reports what else it found', async () => {
    const { netns } = world.node;
    using pod = Netns.create();
    shell(netns, `ip link add cni0 type bridge; ip link add port1 type veth peer name eth0 netns ${pod.path}`);
    shell(netns, 'ip link set port1 master cni0');
    shell(netns, 'for each in iptables ip6tables; do echo 0 > /proc/sys/net/bridge/bridge-nf-call-$each; done');
    // kube-proxy names its interface so in the mode ipvs.
    shell(netns, 'ip link add kube-ipvs0 type bridge');

    const agent = await world.startAgent();
    const { findings, findingsAgeSeconds } = await agent.shows('what it found', (status) => status.findings.length > 0);
    expect(findingsAgeSeconds).toBeGreaterThanOrEqual(0);
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
      expect.objectContaining({
        level: 'warn',
        code: 'PD202',
        severity: 'problem',
        msg: expect.stringContaining('kube-proxy uses IPVS'),
        advice: expect.stringContaining('mode nftables or iptables'),
      }),
    ]);
  });
});

describeAsRoot('An agent that runs', () => {
  const PROGRAM = fileURLToPath(new URL('looking-agent.ts', import.meta.url));

  test('real: checks again: reports a bridge that is added later, and its removal', async () => {
    using netns = Netns.create();
    using pod = Netns.create();
    shell(netns, 'ip link set lo up');
    const child = netns.run(() => fork(PROGRAM, { execArgv: [] }));
    const ended = once(child, 'exit');
    const log: string[] = [];
    const statuses: ((status: Status) => void)[] = [];
    child.on('message', (message: Message) => {
      if ('line' in message) log.push(message.line.msg);
      else statuses.shift()?.(message.status);
    });
    const severityOf = async () => {
      child.send('status');
      const status = await new Promise<Status>((resolve) => statuses.push(resolve));
      return status.findings.find(({ check }) => check === 'bridge-filter')?.severity;
    };
    const until = async (severity: string) => {
      while ((await severityOf()) !== severity);
    };

    await until('ok');
    shell(netns, `ip link add cni0 type bridge; ip link add port1 type veth peer name eth0 netns ${pod.path}`);
    shell(netns, 'ip link set port1 master cni0');
    shell(netns, 'for each in iptables ip6tables; do echo 0 > /proc/sys/net/bridge/bridge-nf-call-$each; done');
    await until('problem');
    shell(netns, 'ip link del cni0');
    await until('ok');
    child.disconnect();
    await ended;
    expect(log.filter((message) => message.includes('bridge cni0'))).toEqual([
      expect.stringMatching(/^1 pod or container is on the bridge cni0/),
      expect.stringMatching(/^no longer so: 1 pod or container is on the bridge cni0/),
    ]);
  });
});

describe('between two checks', () => {
  const bridge = (pods: string, name = 'cni0') =>
    finding(
      'bridge-filter',
      'problem',
      'certain',
      `${pods} on the bridge ${name}, and IPv4 packets skip it.`,
      'Do it.',
    );
  const memory = (pods: number) => finding('memory-limit', 'warning', 'likely', `A cluster of ${pods} pods.`);
  const fine = finding('flow-table', 'ok', 'certain', 'No flow table.');

  function lines(before: Parameters<typeof tellChanges>[0], now: Parameters<typeof tellChanges>[1]): string[] {
    const written: string[] = [];
    const log = pino({ level: 'info' }, { write: (line) => written.push(JSON.parse(line).msg) });
    tellChanges(before, now, log);
    return written;
  }

  test('new findings are reported, and those that are gone, but nothing that stays or is fine', () => {
    const one = bridge('1 pod or container is');
    expect(lines([], [one, fine])).toEqual([one.message]);
    expect(lines([one, fine], [one])).toEqual([]);
    expect(lines([one], [fine])).toEqual([`no longer so: ${one.message}`]);
    expect(lines([one], [one, bridge('1 pod or container is', 'cni1')])).toHaveLength(1);
  });

  test('changed numbers alone are not reported', () => {
    expect(lines([memory(9000)], [memory(9001)])).toEqual([]);
    expect(lines([bridge('1 pod or container is')], [bridge('12 pods or containers are')])).toEqual([]);
  });
});
