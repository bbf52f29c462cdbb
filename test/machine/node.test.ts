/** Findings that this kernel can make true, in network namespaces of their own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { QueueSocket } from '../../src/dataplane/nfqueue/queue-socket.ts';
import { toolMissing } from '../../src/dataplane/steering/error.ts';
import { chooseSteering, surveySteering } from '../../src/dataplane/steering/probe.ts';
import { type System, system } from '../../src/dataplane/steering/run.ts';
import type { CheckName } from '../../src/doctor/checks.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { nodeFindings } from '../../src/doctor/node.ts';
import { readLinks } from '../../src/machine/links.ts';
import { cheapNode, type WholeNodeOptions, wholeNode } from '../../src/machine/node-facts.ts';
import { Netns } from '../../src/sys/netns.ts';
import { nftQueue, STATE, withoutNftQueue } from '../dataplane/steering/kinds.ts';
import { shell } from '../dataplane/steering/pods.ts';
import { describeAsRoot } from '../root.ts';

describeAsRoot('doctor on a node', () => {
  let node: Netns;
  beforeEach(() => {
    node = Netns.create();
  });
  afterEach(() => {
    node.close();
  });

  async function look(options: Partial<WholeNodeOptions> = {}): Promise<readonly Finding[]> {
    const links = () => node.run(() => readLinks());
    return nodeFindings(await wholeNode({ system: system(node), links, inPod: false, ...options }));
  }

  const of = (check: CheckName, findings: readonly Finding[]) => findings.filter((each) => each.check === check);

  /** A pod's namespace, with one end of a veth pair on the bridge. */
  function podOnBridge(bridge: string, number: number): Netns {
    const pod = Netns.create();
    shell(
      node,
      `ip link add veth${number} type veth peer name eth0 netns ${pod.path}; ip link set veth${number} master ${bridge}`,
    );
    return pod;
  }

  function bridgeNfCall(value: 0 | 1): void {
    shell(node, `for each in iptables ip6tables; do echo ${value} > /proc/sys/net/bridge/bridge-nf-call-$each; done`);
  }

  test('real: pods on a bridge that skips the packet filter; with bridge-nf-call on they do not', async () => {
    shell(node, 'ip link add cni0 type bridge');
    using _a = podOnBridge('cni0', 1);
    using _b = podOnBridge('cni0', 2);
    bridgeNfCall(0);
    expect(of('bridge-filter', await look())).toEqual([
      expect.objectContaining({
        severity: 'problem',
        certainty: 'certain',
        message: expect.stringContaining('2 pods or containers are on the bridge cni0'),
      }),
    ]);
    bridgeNfCall(1);
    expect(of('bridge-filter', await look())).toEqual([expect.objectContaining({ severity: 'ok' })]);
    bridgeNfCall(0);
    shell(node, 'ip link set cni0 type bridge nf_call_iptables 1 nf_call_ip6tables 1');
    expect(of('bridge-filter', await look())).toEqual([expect.objectContaining({ severity: 'ok' })]);
  });

  test('real: a bridge without pods is no matter', async () => {
    shell(node, 'ip link add cni0 type bridge; ip link add a type veth peer name b; ip link set a master cni0');
    bridgeNfCall(0);
    expect(of('bridge-filter', await look())).toEqual([expect.objectContaining({ severity: 'ok' })]);
  });

  test.skipIf(nftQueue)('real: a kernel without nftables’ queue: iptables is chosen, and why', async () => {
    const findings = await look();
    expect(of('nft-queue', findings)).toEqual([expect.objectContaining({ severity: 'info', certainty: 'certain' })]);
    expect(of('steering', findings)).toEqual([
      expect.objectContaining({
        severity: 'ok',
        message: expect.stringContaining('podfence steers by iptables: nftables cannot'),
      }),
    ]);
  });

  test('real: what this kernel can is found, each part by itself', async () => {
    const findings = await look();
    for (const check of [
      'iptables-queue',
      'ipset',
      'connection-marks',
      'packet-copies',
      'connection-events',
      'fib',
      'connection-table',
    ] as const) {
      expect(of(check, findings)).toEqual([expect.objectContaining({ severity: 'ok' })]);
    }
  });

  test('real: looking leaves nothing, not even the empty tables that a trial of iptables makes', async () => {
    await look();
    expect(shell(node, 'nft list ruleset; ipset save; cat /proc/thread-self/net/ip_tables_names')).toBe('');
  });

  test('real: without the tools nothing can steer, which is a problem, with what to install', async () => {
    const real = system(node);
    const bare: System = {
      read: real.read,
      run: (command, args, input) =>
        /^(nft|ip6?tables.*|ipset)$/.test(command)
          ? Promise.reject(toolMissing(command))
          : real.run(command, args, input),
    };
    const { nftables, iptables, chosen } = await surveySteering(bare);
    expect([nftables?.code, iptables?.code, chosen]).toEqual(['TOOL_MISSING', 'TOOL_MISSING', undefined]);
  });

  test('real: the survey names the kind that auto takes, whatever is in place', async () => {
    const works = nftQueue ? system(node) : withoutNftQueue(system(node));
    const taken = async () => [
      (await surveySteering(works)).chosen,
      (await chooseSteering('auto', { system: works })).kind,
    ];
    expect(await taken()).toEqual(['nftables', 'nftables']);
    const iptables = await chooseSteering('iptables', { system: works });
    await iptables.apply(STATE);
    expect(await taken()).toEqual(['iptables', 'iptables']);
    const nftables = await chooseSteering('nftables', { system: works });
    await nftables.apply(STATE);
    expect(await taken()).toEqual(['nftables', 'nftables']);
    await nftables.remove();
  });

  test('real: rules of podfence that nobody reads the queues of', async () => {
    const steering = await chooseSteering('iptables', { system: system(node) });
    await steering.apply({ ...STATE, queues: { first: 9464, count: 2 }, fail: 'closed' });
    const facts = await wholeNode({ system: system(node), links: () => node.run(() => readLinks()), inPod: false });
    expect(facts.presence).toBe('enforce');
    expect(of('queues', nodeFindings(facts))).toEqual([
      expect.objectContaining({
        severity: 'problem',
        certainty: 'certain',
        message: expect.stringContaining('queues 9464 to 9465, which nobody reads'),
      }),
    ]);
    await steering.remove();
    expect((await wholeNode({ system: system(node), inPod: false })).presence).toBe('absent');
  });

  test('real: rules of podfence that only copy are an audit', async () => {
    const needs = { deny: 'drop', offload: true, copiesTo: 100 } as const;
    const steering = await chooseSteering('iptables', { system: system(node), needs });
    await steering.apply({ ...STATE, ...needs });
    expect((await wholeNode({ system: system(node), inPod: false })).presence).toBe('audit');
    await steering.remove();
  });

  test.each(['iptables-nft', 'iptables-legacy'])(
    'real: a queue of others by %s, unread and then read by this process',
    async (tool) => {
      shell(node, `${tool} -t mangle -A POSTROUTING -m comment --comment knp -j NFQUEUE --queue-num 98`);
      const [unread, ...more] = of('queues', await look());
      expect(more).toEqual([]);
      expect(unread).toMatchObject({
        severity: 'warning',
        message: expect.stringContaining('its packets are dropped'),
      });

      const queue = node.run(() => new QueueSocket(98, 0, false));
      const [read] = of('queues', await look());
      expect(read).toMatchObject({ severity: 'info', message: expect.stringContaining(`(process ${process.pid})`) });
      queue.close();
    },
  );

  test.each([
    ['kube-network-policies', 'nft add table inet kube-network-policies'],
    ['kindnetd', 'nft add table inet kindnet-network-policies'],
    ['Calico', 'iptables-nft -N cali-FORWARD'],
    ['kube-router', 'iptables-legacy -N KUBE-ROUTER-FORWARD'],
    ['Cilium', 'iptables-nft -t mangle -N CILIUM_PRE_mangle'],
    ['Antrea', 'iptables-nft -t raw -N ANTREA-PREROUTING'],
  ])('real: rules of %s', async (name, command) => {
    shell(node, command);
    expect(of('other-rules', await look())).toEqual([
      expect.objectContaining({ severity: 'info', certainty: 'likely', message: expect.stringContaining(`${name}`) }),
    ]);
  });

  test.each([
    ['iptables', 'iptables-nft -t nat -N KUBE-SERVICES'],
    ['iptables', 'iptables-legacy -t nat -N KUBE-SERVICES'],
    ['nftables', 'nft add table ip kube-proxy'],
    ['ipvs', 'iptables-nft -t nat -N KUBE-SERVICES; ip link add kube-ipvs0 type bridge'],
  ])('real: kube-proxy in mode %s by its traces', async (mode, command) => {
    shell(node, command);
    expect(of('kube-proxy', await look())).toEqual([
      expect.objectContaining({
        severity: mode === 'ipvs' ? 'problem' : 'ok',
        certainty: 'likely',
        message: expect.stringMatching(new RegExp(`uses ${mode}`, 'i')),
      }),
    ]);
  });

  test('recorded: /proc/net/ip_vs with a Service, for this kernel has no IPVS', async () => {
    const real = system(node);
    const table = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:01BB rr
  -> AC1E000A:192B      Masq    1      0          0
`;
    const withIpvs: System = { run: real.run, read: (path) => (path.endsWith('/net/ip_vs') ? table : real.read(path)) };
    expect(of('kube-proxy', await look({ system: withIpvs }))).toEqual([
      expect.objectContaining({
        severity: 'problem',
        certainty: 'certain',
        message: expect.stringContaining('/proc/net/ip_vs'),
      }),
    ]);
  });

  test('real: an NRI socket, and none', async () => {
    const run = mkdtempSync(join(tmpdir(), 'podfence-run-'));
    shell(node, `mkdir ${run}/nri`);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(`${run}/nri/nri.sock`, resolve));
    expect(of('nri', await look({ run }))[0]?.message).toContain('offers NRI at /var/run/nri/nri.sock');
    await new Promise((resolve) => server.close(resolve));
    expect(of('nri', await look({ run }))[0]?.message).not.toContain('offers NRI at');
    rmSync(run, { recursive: true });
  });

  test('real: what an agent looks at in passing sees names, bridges and queues', async () => {
    shell(node, 'nft add table inet kindnet-network-policies; ip link add cni0 type bridge');
    using _a = podOnBridge('cni0', 1);
    bridgeNfCall(0);
    const queue = node.run(() => new QueueSocket(102, 0, false));
    const links = () => node.run(() => readLinks());
    const start = { presence: 'enforce', queues: { first: 9464, last: 9465 }, pods: 10, policies: 1 } as const;
    const findings = nodeFindings(await cheapNode({ system: system(node), links, ...start }));
    queue.close();
    expect(of('other-rules', findings)[0]).toMatchObject({ severity: 'warning' });
    expect(of('bridge-filter', findings)[0]).toMatchObject({ severity: 'problem' });
    expect(of('queues', findings)[0]?.message).toContain('Queue 102 is read by');
    expect(of('memory-limit', findings)).toHaveLength(1);
    expect(of('nft-queue', findings)).toEqual([]);
  });
});
