/** Findings that this kernel can produce, in network namespaces of their own. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { QueueSocket } from '../../src/dataplane/nfqueue/queue-socket.ts';
import { commandFailed, toolMissing } from '../../src/dataplane/steering/error.ts';
import { IptablesSteering } from '../../src/dataplane/steering/iptables.ts';
import { chooseSteering, surveySteering } from '../../src/dataplane/steering/probe.ts';
import { type System, system } from '../../src/dataplane/steering/run.ts';
import type { SteeringKind } from '../../src/dataplane/steering/state.ts';
import type { CheckName } from '../../src/doctor/checks.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { abilities } from '../../src/doctor/kernel-abilities.ts';
import { kubeProxy } from '../../src/doctor/kube-proxy.ts';
import { nodeFindings } from '../../src/doctor/node.ts';
import { runtimeFacts } from '../../src/machine/container-runtime.ts';
import { refusalOf } from '../../src/machine/kernel-trials.ts';
import { readLinks } from '../../src/machine/links.ts';
import { cheapNode, seenRules, type WholeNodeOptions, wholeNode } from '../../src/machine/node-facts.ts';
import { proxyModeByTraces } from '../../src/machine/proxy-mode.ts';
import { NLM_F_DUMP, NLM_F_REQUEST } from '../../src/netlink/constants.ts';
import { MessageWriter } from '../../src/netlink/message.ts';
import { NetlinkSocket } from '../../src/netlink/socket.ts';
import { close, SystemCallError } from '../../src/sys/libc.ts';
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

  const links = () => node.run(() => readLinks());
  /** No answer: a kube-proxy of the machine that runs the tests does not belong to the node. */
  const askProxy = () => Promise.resolve(undefined);

  /** The node's system, on which these commands fail. */
  function failing(commands: RegExp, errorOf: (command: string) => Error): System {
    const real = system(node);
    return {
      read: real.read,
      run: (command, args, input) =>
        commands.test(command) ? Promise.reject(errorOf(command)) : real.run(command, args, input),
    };
  }

  /** Returns the findings of everything that the command checks. */
  async function look(options: Partial<WholeNodeOptions> = {}): Promise<readonly Finding[]> {
    return nodeFindings(await wholeNode({ system: system(node), links, askProxy, inPod: false, ...options }));
  }

  /** Returns the findings of what a running agent checks. */
  async function pass(place: System = system(node)): Promise<readonly Finding[]> {
    const start = { presence: 'enforce', queues: { first: 9464, last: 9465 }, pods: 10, policies: 1 } as const;
    return nodeFindings(await cheapNode({ system: place, links, askProxy, ...start }));
  }

  /** Returns the findings from rules and queues only. */
  async function seen(): Promise<readonly Finding[]> {
    return nodeFindings({ release: '', ...(await seenRules(system(node))) });
  }

  const of = (check: CheckName, findings: readonly Finding[]) => findings.filter((each) => each.check === check);

  async function proxyByTraces(): Promise<readonly Finding[]> {
    const names = (await links()).map(({ name }) => name);
    return kubeProxy(proxyModeByTraces(system(node), (await seenRules(system(node))).rules, names));
  }

  /** Creates a pod's namespace, with one end of a veth pair on the bridge. */
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

  test('real: pods on a bridge that skips the packet filter are a problem, until bridge-nf-call is on', async () => {
    shell(node, 'ip link add cni0 type bridge');
    using _a = podOnBridge('cni0', 1);
    using _b = podOnBridge('cni0', 2);
    bridgeNfCall(0);
    expect(of('bridge-filter', await pass())).toEqual([
      expect.objectContaining({
        severity: 'problem',
        certainty: 'certain',
        message: expect.stringContaining('2 pods or containers are on the bridge cni0'),
      }),
    ]);
    bridgeNfCall(1);
    expect(of('bridge-filter', await pass())).toEqual([expect.objectContaining({ severity: 'ok' })]);
    bridgeNfCall(0);
    shell(node, 'ip link set cni0 type bridge nf_call_iptables 1 nf_call_ip6tables 1');
    expect(of('bridge-filter', await pass())).toEqual([expect.objectContaining({ severity: 'ok' })]);
  });

  test('real: a bridge without pods is no problem', async () => {
    shell(node, 'ip link add cni0 type bridge; ip link add one type veth peer name two; ip link set one master cni0');
    bridgeNfCall(0);
    expect(of('bridge-filter', await pass())).toEqual([expect.objectContaining({ severity: 'ok' })]);
  });

  test('real: each part of the kernel is tried by itself, and nothing is left, not even the empty tables of an iptables trial', async () => {
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
    expect(of('nft-queue', findings)).toEqual([expect.objectContaining({ severity: nftQueue ? 'ok' : 'info' })]);
    const chosen = nftQueue ? 'podfence steers by nftables' : 'podfence steers by iptables: nftables cannot';
    expect(of('steering', findings)[0]?.message).toContain(chosen);
    expect(shell(node, 'nft list ruleset; ipset save; cat /proc/thread-self/net/ip_tables_names')).toBe('');
  });

  test('real: without the tools there is no way to steer, which is a problem, with what to install', async () => {
    const bare = failing(/^(nft|ip6?tables.*|ipset)$/, toolMissing);
    const findings = await look({ system: bare, trials: bare });
    expect(findings[0]).toMatchObject({ code: 'PD101', severity: 'problem', certainty: 'certain' });
    expect(findings[0]?.message).toMatch(/podfence cannot enforce.* nft is not installed.* iptables/);
    expect(findings[0]?.advice).toMatch(/install the package iptables; install the package nftables/i);
  });

  test.each([
    ['is not installed', toolMissing, 'The rules of nftables could not be read: nft is not installed.'],
    [
      'fails',
      () => commandFailed('nft list', 1, 'netlink: Error: cache initialization failed: Interrupted system call'),
      'The rules of nftables could not be read: nft list: netlink: Error: cache initialization failed',
    ],
  ])('real: if nft %s, nothing is concluded from the missing rules', async (_, errorOf, words) => {
    const without = failing(/^nft$/, errorOf);
    for (const findings of [await look({ system: without }), await pass(without)]) {
      for (const check of ['flow-table', 'other-rules', 'kube-proxy'] as const) expect(of(check, findings)).toEqual([]);
      expect(of('not-looked', findings)).toContainEqual(
        expect.objectContaining({ severity: 'info', message: expect.stringContaining(words) }),
      );
    }
    // The rules of the other tool still count.
    shell(node, 'iptables-nft -N cali-FORWARD; iptables-nft -t nat -N KUBE-SERVICES');
    const findings = await look({ system: without });
    expect(of('other-rules', findings)).toEqual([expect.objectContaining({ severity: 'info' })]);
    expect(of('kube-proxy', findings)).toEqual([expect.objectContaining({ severity: 'ok' })]);
  });

  test('real: the tools of iptables need to be installed only if it has rules', async () => {
    const without = failing(/^ip6?tables/, toolMissing);
    expect(of('not-looked', await look({ system: without }))).toEqual([]);
    expect(of('other-rules', await look({ system: without }))).toEqual([expect.objectContaining({ severity: 'ok' })]);
    shell(node, 'iptables-nft -t mangle -N harmless');
    expect(of('not-looked', await look({ system: without }))).toEqual([
      expect.objectContaining({ message: expect.stringContaining('iptables-nft-save is not installed') }),
    ]);
    expect(of('other-rules', await look({ system: without }))).toEqual([]);
  });

  test('real: an agent does not read legacy iptables, and says so', async () => {
    expect(of('other-rules', await pass())).toEqual([expect.objectContaining({ severity: 'ok' })]);
    shell(node, 'iptables-legacy -N KUBE-ROUTER-FORWARD');
    const findings = await pass();
    expect(of('other-rules', findings)).toEqual([]);
    expect(of('not-looked', findings)).toEqual([
      expect.objectContaining({ message: expect.stringContaining('Legacy iptables has tables here') }),
    ]);
    expect(of('flow-table', findings)).toEqual([expect.objectContaining({ severity: 'ok' })]);
  });

  test('real: a missing part of netlink is reported as missing', async () => {
    using netlink = new NetlinkSocket(1 << 16);
    const request = new MessageWriter(64);
    // nfnetlink has no subsystem above 12.
    request.begin(99, 0, NLM_F_REQUEST | NLM_F_DUMP, 1, 0);
    const error: unknown = await netlink.dump('asking nobody', request, () => {}).catch((reason: unknown) => reason);
    expect(refusalOf(error)).toMatchObject({
      code: 'KERNEL_LACKS',
      message: 'asking nobody: the kernel answered EINVAL',
    });
    expect(abilities([{ ability: 'connection-table', refusal: refusalOf(error) }])).toEqual([
      expect.objectContaining({ severity: 'problem', advice: 'Load nf_conntrack_netlink.' }),
    ]);
  });

  test.each([
    ['ENOENT', 'KERNEL_LACKS'],
    ['EPROTONOSUPPORT', 'KERNEL_LACKS'],
    ['EOPNOTSUPP', 'KERNEL_LACKS'],
    ['EPERM', 'NOT_PERMITTED'],
    ['ENOMEM', 'FAILED'],
  ])('recorded: netlink answers %s: %s', (name, code) => {
    const number = constants.errno[name as 'ENOENT'];
    const refusal = refusalOf(new SystemCallError('socket', number));
    expect(refusal.code).toBe(code);
    expect(/root/.test(refusal.hint)).toBe(name === 'EPERM');
  });

  test('real: the survey names the kind that auto takes, whatever is in place', async () => {
    const works = nftQueue ? system(node) : withoutNftQueue(system(node));
    const same = async (kind: SteeringKind) => {
      expect((await surveySteering(works)).chosen).toBe(kind);
      expect((await chooseSteering('auto', { system: works })).kind).toBe(kind);
    };
    await same('nftables');
    await new IptablesSteering(works).apply(STATE);
    await same('iptables');
  });

  test('real: queue rules of podfence without a reader are a problem; rules that only copy mean audit', async () => {
    const steering = new IptablesSteering(system(node));
    await steering.apply({ ...STATE, queues: { first: 9464, count: 2 }, fail: 'closed' });
    expect(of('queues', await seen())).toEqual([
      expect.objectContaining({
        severity: 'problem',
        certainty: 'certain',
        message: expect.stringContaining('queues 9464 to 9465, which no process reads'),
      }),
    ]);
    expect((await seenRules(system(node))).presence).toBe('enforce');
    await steering.apply({ ...STATE, deny: 'drop', copiesTo: 100 });
    expect((await seenRules(system(node))).presence).toBe('audit');
    await steering.remove();
    expect((await seenRules(system(node))).presence).toBe('absent');
  });

  test.each(['iptables-nft', 'iptables-legacy'])(
    'real: a foreign queue by %s, unread and then read by this process',
    async (tool) => {
      shell(node, `${tool} -t mangle -A POSTROUTING -m comment --comment knp -j NFQUEUE --queue-num 98`);
      const [unread, ...more] = of('queues', await seen());
      expect(more).toEqual([]);
      expect(unread).toMatchObject({
        severity: 'warning',
        message: expect.stringContaining('its packets are dropped'),
      });

      const queue = node.run(() => new QueueSocket(98, 0, false));
      const [read] = of('queues', await seen());
      close(queue.fd);
      expect(read).toMatchObject({
        severity: 'info',
        message: expect.stringContaining(`(process ${process.pid})`),
      });
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
    expect(of('other-rules', await seen())).toEqual([
      expect.objectContaining({ severity: 'info', certainty: 'likely', message: expect.stringContaining(`${name}`) }),
    ]);
  });

  test.each([
    ['iptables', 'iptables-nft -t nat -N KUBE-SERVICES'],
    ['iptables', 'iptables-legacy -t nat -N KUBE-SERVICES'],
    ['nftables', 'nft add table ip kube-proxy'],
    ['ipvs', 'iptables-nft -t nat -N KUBE-SERVICES; ip link add kube-ipvs0 type bridge'],
  ])('real: kube-proxy in mode %s is found by its traces', async (mode, command) => {
    shell(node, command);
    expect(await proxyByTraces()).toEqual([
      expect.objectContaining({
        severity: mode === 'ipvs' ? 'problem' : 'ok',
        certainty: 'likely',
        message: expect.stringMatching(new RegExp(`uses ${mode}`, 'i')),
      }),
    ]);
  });

  test('recorded: /proc/net/ip_vs with a Service belongs to kube-proxy if kube-ipvs0 exists, else to other software (this kernel has no IPVS)', async () => {
    const real = system(node);
    const table = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:01BB rr
  -> AC1E000A:192B      Masq    1      0          0
`;
    const withIpvs: System = { run: real.run, read: (path) => (path.endsWith('/net/ip_vs') ? table : real.read(path)) };
    const proxyFindings = async () => of('kube-proxy', await look({ system: withIpvs }));
    expect(await proxyFindings()).toEqual([
      expect.objectContaining({
        severity: 'warning',
        certainty: 'likely',
        message: expect.stringContaining('IPVS is in use here'),
      }),
    ]);
    shell(node, 'ip link add kube-ipvs0 type bridge');
    expect(await proxyFindings()).toEqual([
      expect.objectContaining({
        severity: 'problem',
        certainty: 'certain',
        message: expect.stringContaining('/proc/net/ip_vs'),
      }),
    ]);
  });

  test('real: an NRI socket, and none', async () => {
    const run = mkdtempSync(join(tmpdir(), 'podfence-run-'));
    mkdirSync(join(run, 'nri'));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(`${run}/nri/nri.sock`, resolve));
    expect(await runtimeFacts({ run })).toMatchObject({ socket: '/var/run/nri/nri.sock' });
    await new Promise((resolve) => server.close(resolve));
    expect(await runtimeFacts({ run })).toMatchObject({ socket: null });
    rmSync(run, { recursive: true });
  });

  test('real: a running agent’s checks see names, bridges and queues', async () => {
    shell(node, 'nft add table inet kindnet-network-policies; ip link add cni0 type bridge');
    using _a = podOnBridge('cni0', 1);
    bridgeNfCall(0);
    const queue = node.run(() => new QueueSocket(102, 0, false));
    const findings = await pass();
    close(queue.fd);
    expect(of('other-rules', findings)[0]).toMatchObject({ severity: 'warning' });
    expect(of('bridge-filter', findings)[0]).toMatchObject({ severity: 'problem' });
    expect(of('queues', findings)[0]?.message).toContain('Queue 102 is read by');
    expect(of('memory-limit', findings)).toHaveLength(1);
    expect(of('nft-queue', findings)).toEqual([]);
  });
});
