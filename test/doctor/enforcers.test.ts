/** Other enforcers, found by their pods, rules and queues, and whose verdict counts. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_MARK } from '../../src/dataplane/steering/state.ts';
import type { PodFacts } from '../../src/doctor/enforcers.ts';
import { markBits, USUAL_BITS } from '../../src/doctor/mark-bits.ts';
import { embeddedEnforcer, enforcersByPods, enforcersByRules } from '../../src/doctor/other-enforcers.ts';
import { queues, type ReadQueue } from '../../src/doctor/queues.ts';
import { joinRules, type RuleFacts, readIptables, readNft } from '../../src/doctor/rule-dumps.ts';
import { ANTREA, CALICO, CILIUM, K3S, KINDNETD, OLDER_NFT, PODFENCE, SURICATA } from './recorded-rules.ts';

function pod(name: string, image: string, more: Partial<PodFacts> & { command?: readonly string[] } = {}): PodFacts {
  const { command = [], ...rest } = more;
  return {
    namespace: 'kube-system',
    name,
    node: 'node-1',
    labels: {},
    containers: [{ name: 'main', image, command }],
    ...rest,
  };
}

describe('by pods', () => {
  test.each([
    ['kindnetd', pod('kindnet-x7k2p', 'docker.io/kindest/kindnetd:v20250512-df8de77b')],
    [
      'kube-network-policies',
      pod('kube-network-policies-abcde', 'registry.k8s.io/networking/kube-network-policies:v1.1.1'),
    ],
    ['Calico', pod('calico-node-4xk9z', 'docker.io/calico/node:v3.28.1', { labels: { 'k8s-app': 'calico-node' } })],
    ['Calico', pod('canal-4xk9z', 'rancher/mirrored-calico-node:v3.28.1', { labels: { 'k8s-app': 'canal' } })],
    ['Cilium', pod('cilium-8fj2m', 'quay.io/cilium/cilium:v1.16.3', { labels: { 'k8s-app': 'cilium' } })],
    ['Cilium', pod('anetd-7dk2m', 'gke.gcr.io/cilium/cilium:v1.14', { labels: { 'k8s-app': 'cilium' } })],
    ['Antrea', pod('antrea-agent-5xk2p', 'antrea/antrea-agent-ubuntu:v2.1.0')],
    [
      'kube-router',
      pod('kube-router-2kx8p', 'docker.io/cloudnativelabs/kube-router:v2.2.1', {
        command: ['--run-router=true', '--run-firewall=true'],
      }),
    ],
    [
      "Amazon's network policy agent",
      pod('aws-node-2kx8p', '602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon/aws-network-policy-agent:v1.1.5', {
        command: ['--enable-ipv6=false', '--enable-network-policy=true'],
      }),
    ],
    [
      "Azure's network policy manager",
      pod('azure-npm-2kx8p', 'mcr.microsoft.com/containernetworking/azure-npm:v1.5.5'),
    ],
    ['Weave Net', pod('weave-net-2kx8p', 'weaveworks/weave-npc:2.8.1')],
    [
      'OVN-Kubernetes',
      pod('ovnkube-node-2kx8p', 'ghcr.io/ovn-org/ovn-kubernetes/ovn-kube-ubuntu:master', {
        labels: { app: 'ovnkube-node' },
      }),
    ],
    ['Kube-OVN', pod('kube-ovn-cni-2kx8p', 'docker.io/kubeovn/kube-ovn:v1.13.0', { labels: { app: 'kube-ovn-cni' } })],
  ])('recorded: %s', (name, enforcer) => {
    const [found, ...more] = enforcersByPods([pod('web-1', 'nginx:1.27'), enforcer], 'enforce');
    expect(more).toEqual([]);
    expect(found).toMatchObject({ code: 'PD301', severity: 'warning', certainty: 'certain' });
    expect(found?.message).toContain(`${name}`);
    expect(found?.message).toContain('verdict');
  });

  test.each([
    ['a kindnetd from before it enforced', pod('kindnet-x7k2p', 'kindest/kindnetd:v20230809-80a64d96')],
    [
      'kube-router that only routes',
      pod('kube-router-2kx8p', 'cloudnativelabs/kube-router:v2.2.1', { command: ['--run-firewall=false'] }),
    ],
    [
      "Amazon's agent with policies off",
      pod('aws-node-2kx8p', 'amazon/aws-network-policy-agent:v1.1.5', { command: ['--enable-network-policy=false'] }),
    ],
    ["Cilium's operator", pod('cilium-operator-2kx8p', 'quay.io/cilium/operator-generic:v1.16.3')],
    ["Calico's controllers", pod('calico-kube-controllers-2kx8p', 'calico/kube-controllers:v3.28.1')],
    ['flannel', pod('kube-flannel-ds-2kx8p', 'flannel/flannel:v0.26.1')],
  ])('recorded: %s is none', (_, other) => {
    expect(enforcersByPods([other], 'enforce')).toEqual([]);
  });

  test('recorded: pods of one DaemonSet on several nodes are reported in the same words', () => {
    const on = (name: string) => enforcersByPods([pod(name, 'quay.io/cilium/cilium:v1.16.3')], 'enforce');
    expect(on('cilium-8fj2m')).toEqual(on('cilium-x2p4q'));
  });

  test('recorded: k3s contains an enforcer unless that was switched off', () => {
    expect(embeddedEnforcer('v1.31.4+k3s1', 'absent')).toEqual([
      expect.objectContaining({
        code: 'PD301',
        certainty: 'likely',
        advice: expect.stringContaining('--disable-network-policy'),
      }),
    ]);
    expect(embeddedEnforcer('v1.34.4', 'absent')).toEqual([]);
  });
});

describe('whose verdict counts', () => {
  const calico = [pod('calico-node-4xk9z', 'calico/node:v3.28.1')];
  const cilium = [pod('cilium-8fj2m', 'quay.io/cilium/cilium:v1.16.3')];

  test('recorded: beside rules the stricter verdict counts, and Calico’s marks collide', () => {
    const [found] = enforcersByPods(calico, 'enforce');
    expect(found?.message).toContain('the stricter verdict counts');
    expect(found?.message).toContain('--mark-mask');
  });

  test('recorded: in audit mode only the other enforcer’s verdict counts, and that is no warning', () => {
    expect(enforcersByPods(calico, 'audit')).toEqual([
      expect.objectContaining({ severity: 'info', message: expect.stringContaining('Its verdict alone counts') }),
    ]);
  });

  test('recorded: if it bypasses the forward hook only the other enforcer’s verdict counts', () => {
    expect(enforcersByPods(cilium, 'enforce')[0]?.message).toContain('there its verdict alone counts');
  });

  test('recorded: before podfence is installed it is only an info', () => {
    expect(enforcersByPods(calico, 'absent')).toEqual([
      expect.objectContaining({ severity: 'info', advice: expect.stringContaining('before podfence enforces') }),
    ]);
  });
});

/** Chains as iptables-save declares them, beside those that every node has. */
function chainsOf(...names: readonly string[]): RuleFacts {
  const declared = ['KUBE-SERVICES', ...names].map((name) => `:${name} - [0:0]\n`);
  return readIptables(`*filter\n:FORWARD ACCEPT [0:0]\n${declared.join('')}COMMIT\n`);
}

describe('by rules', () => {
  test.each([
    ['kindnetd', 'table inet kindnet-network-policies', readNft(KINDNETD)],
    ['kube-network-policies', 'table inet kube-network-policies', readNft(OLDER_NFT)],
    ['Calico', '3 chains such as cali-FORWARD', readIptables(CALICO)],
    ['kube-router', '3 chains such as KUBE-NWPLCY-DEFAULT', readIptables(K3S)],
    ['Cilium', '2 chains such as CILIUM_POST_mangle', readIptables(CILIUM)],
    ['Antrea', '2 chains such as ANTREA-OUTPUT', readIptables(ANTREA)],
    [
      "Azure's network policy manager",
      '3 chains such as AZURE-NPM',
      chainsOf('AZURE-NPM', 'AZURE-NPM-INGRESS', 'AZURE-NPM-ACCEPT'),
    ],
    ['Weave Net', '2 chains such as WEAVE-NPC', chainsOf('WEAVE-NPC', 'WEAVE-NPC-DEFAULT', 'WEAVE')],
    ['OVN-Kubernetes', '2 chains such as OVN-KUBE-EXTERNALIP', chainsOf('OVN-KUBE-EXTERNALIP', 'OVN-KUBE-NODEPORT')],
    ['Kube-OVN', '2 chains such as OVN-MASQUERADE', chainsOf('OVN-PREROUTING', 'OVN-MASQUERADE')],
  ])('recorded: %s by %s', (name, seen, rules) => {
    const [found, ...more] = enforcersByRules(rules, 'enforce');
    expect(more).toEqual([]);
    expect(found).toMatchObject({ code: 'PD302', severity: 'warning', certainty: 'likely' });
    expect(found?.message).toContain(name);
    expect(found?.message).toContain(`(${seen})`);
  });

  test('recorded: if rules could not be read, none are reported missing, and those that were seen are reported', () => {
    const unread = new Set(['nftables'] as const);
    expect(enforcersByRules(readNft(''), 'enforce', unread)).toEqual([]);
    expect(enforcersByRules(readIptables(CALICO), 'enforce', unread)).toHaveLength(1);
  });

  test('recorded: podfence’s own rules are not taken for another enforcer’s', () => {
    expect(enforcersByRules(readNft(PODFENCE), 'enforce')).toEqual([expect.objectContaining({ severity: 'ok' })]);
  });
});

describe('marks of connections', () => {
  const inNft = (rule: string) => readNft(`table ip mangle {\n\tchain other {\n\t\t${rule}\n\t}\n}\n`);
  const inIptables = (rule: string) => readIptables(`*mangle\n:OTHER - [0:0]\n-A OTHER ${rule}\nCOMMIT\n`);

  test.each([
    ['ct mark set 0x00000001', '3000000'],
    ['ct mark set meta mark', '3000000'],
    ['ct mark set ct mark | 0x01000000', '1000000'],
    ['ct mark set ct mark & 0xfdffffff', '2000000'],
    ['ct mark set ct mark and 0xfeffffff or 0x00000001 comment "x"', '1000000'],
  ])('are written by %s of nftables', (rule, bits) => {
    expect(markBits(inNft(rule).marks)).toMatchObject([
      { code: 'PD304', severity: 'warning', message: expect.stringContaining(`writes bits 0x${bits} of`) },
    ]);
  });

  test.each([
    ['-j CONNMARK --set-xmark 0x1/0xffffffff', '3000000'],
    ['-m mark --mark 0x1 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff', '3000000'],
    ['-j CONNMARK --set-xmark 0x1000000/0x1000000', '1000000'],
  ])('are written by %s of iptables', (rule, bits) => {
    const [found] = markBits(inIptables(rule).marks);
    expect(found?.message).toContain(`(chain OTHER of iptables' table mangle) writes bits 0x${bits} of`);
  });

  test.each([
    inNft('ct mark set ct mark | 0x00000080'),
    inNft('ct mark & 0x01000000 == 0x01000000 accept'),
    inNft('meta mark set 0x01000000'),
    inIptables('-j CONNMARK --set-xmark 0x80/0x80'),
    inIptables('-j CONNMARK --restore-mark --nfmask 0x1000000 --ctmask 0x1000000'),
    inIptables('-j MARK --set-xmark 0x4000/0x0'),
  ])('do not collide in other bits, in reads, or as packet marks: %#', ({ marks }) => {
    expect(markBits(marks)).toEqual([]);
  });

  test('are compared with the default bits if podfence has no rules', () => {
    expect(USUAL_BITS).toBe(DEFAULT_MARK.mask);
  });

  test('are compared with the bits that podfence’s own rules write, if there are any', () => {
    const own = 'table inet podfence {\n\tchain postrouting {\n\t\tct mark set ct mark | 0x00000080\n\t}\n}\n';
    const { marks } = joinRules([readNft(own), inIptables('-j CONNMARK --set-xmark 0x80/0x80')]);
    expect(markBits(marks)[0]?.message).toContain('writes bits 0x80 of');
  });
});

describe('queues', () => {
  const read = (queue: number, process?: string): ReadQueue => ({
    queue,
    port: 4711,
    waiting: 0,
    dropped: 0,
    ...(process !== undefined && { process: { pid: 4711, name: process } }),
  });
  const kindnetd = readNft(KINDNETD).queues;
  const podfence = readNft(PODFENCE).queues;

  test('recorded: rules with queues, in both spellings of nft and in that of iptables', () => {
    expect(kindnetd.map(({ first, last, bypass }) => [first, last, bypass])).toEqual([
      [102, 102, true],
      [102, 102, true],
      [102, 102, true],
    ]);
    expect(readNft(OLDER_NFT).queues).toMatchObject([{ first: 100, last: 101, bypass: true, ours: false }]);
    expect(readIptables(SURICATA).queues).toMatchObject([{ first: 0, last: 3, bypass: false, ours: false }]);
    expect(podfence).toMatchObject([{ first: 9464, last: 9465, bypass: false, ours: true }]);
  });

  test('recorded: another enforcer reads its queue beside podfence: whose verdict counts', () => {
    const rules = joinRules([readNft(KINDNETD), readNft(PODFENCE)]).queues;
    const all = [read(102, 'kindnetd'), read(9464, 'node'), read(9465, 'node')];
    const found = queues({ read: all, rules, presence: 'enforce' });
    expect(found.every(({ severity, code }) => severity === 'warning' && code === 'PD303')).toBe(true);
    expect(found[0]?.message).toContain(
      'queue 102, read by kindnetd (process 4711), which is kindnetd (kube-network-policies inside)',
    );
    expect(found[0]?.message).toContain('the stricter verdict counts');
  });

  test('recorded: podfence’s rules without an agent are a problem', () => {
    expect(queues({ read: [], rules: podfence, presence: 'enforce' })).toEqual([
      expect.objectContaining({
        severity: 'problem',
        message: expect.stringContaining('New connections of isolated pods are dropped'),
      }),
    ]);
    expect(queues({ read: [read(9464)], rules: podfence, presence: 'enforce' })[0]).toMatchObject({
      severity: 'problem',
    });
  });

  test('recorded: foreign rules without a reader drop packets, or let them pass', () => {
    expect(queues({ read: [], rules: readIptables(SURICATA).queues, presence: 'absent' })[0]).toMatchObject({
      severity: 'warning',
    });
    expect(queues({ read: [], rules: kindnetd, presence: 'absent' })[0]).toMatchObject({ severity: 'info' });
  });

  test('recorded: foreign rules that send packets to podfence’s own queues', () => {
    const rules = [...podfence, ...readIptables(SURICATA.replace('0:3', '9465:9470')).queues];
    const found = queues({ read: [read(9464), read(9465)], rules, presence: 'enforce' });
    expect(found).toEqual([
      expect.objectContaining({ severity: 'problem', advice: expect.stringContaining('--first-queue') }),
    ]);
  });

  test('recorded: an agent knows its own queues and so finds foreign ones without any rule', () => {
    const found = queues({ read: [read(9464), read(100)], ours: { first: 9464, last: 9464 }, presence: 'enforce' });
    expect(found).toEqual([
      expect.objectContaining({
        severity: 'info',
        message: expect.stringContaining('Queue 100 is read by a process that is not visible'),
      }),
    ]);
  });
});
