/** Bridges, kube-proxy, flow tables, NRI, memory: findings from recorded facts. */
import { describe, expect, test } from 'vitest';
import { bridgeFilter } from '../../src/doctor/bridges.ts';
import { flowTables } from '../../src/doctor/flow-tables.ts';
import { kubeProxy } from '../../src/doctor/kube-proxy.ts';
import { bytesOf, memoryLimit, memoryNeed, readMemoryLimit } from '../../src/doctor/memory.ts';
import { nri } from '../../src/doctor/nri.ts';
import { readNft } from '../../src/doctor/rule-dumps.ts';
import { FLOW_TABLE } from './recorded-rules.ts';

const MIB = 1 << 20;

describe('bridges', () => {
  const bridge = (name: string, podPorts = 2) => ({ name, podPorts, callIptables: false, callIp6tables: false });
  const off = { iptables: false, ip6tables: false };

  test.each([
    ['cni0', 'problem', 'certain'],
    ['br-pods', 'problem', 'likely'],
    ['docker0', 'info', 'possible'],
    ['br-0123456789ab', 'info', 'possible'],
  ])('recorded: pods on %s with bridge-nf-call off: %s, %s', (name, severity, certainty) => {
    expect(bridgeFilter([bridge(name)], off)).toEqual([
      expect.objectContaining({ code: 'PD201', severity, certainty }),
    ]);
  });

  test('recorded: br_netfilter not loaded is the same', () => {
    const [found] = bridgeFilter([bridge('cni0')], { iptables: undefined, ip6tables: undefined });
    expect(found).toMatchObject({
      severity: 'problem',
      message: expect.stringContaining('br_netfilter is not loaded'),
    });
  });

  test('recorded: a switch on for one family names only the other', () => {
    const [found] = bridgeFilter([bridge('cni0')], { iptables: true, ip6tables: false });
    expect(found?.message).toContain('IPv6 packets between them do not pass');
    expect(found?.advice).toContain('bridge-nf-call-ip6tables=1');
    expect(found?.advice).not.toContain('bridge-nf-call-iptables=1');
  });

  test("recorded: a bridge's own switches are enough", () => {
    const own = { ...bridge('cni0'), callIptables: true, callIp6tables: true };
    expect(bridgeFilter([own], off)).toEqual([expect.objectContaining({ severity: 'ok' })]);
  });
});

describe('kube-proxy', () => {
  test('recorded: IPVS is a problem, and says what is not judged', () => {
    const [found, ...more] = kubeProxy({ mode: 'ipvs', by: 'as it reports itself', certain: true, ipvs: true });
    expect(more).toEqual([]);
    expect(found).toMatchObject({ code: 'PD202', severity: 'problem', certainty: 'certain' });
    expect(found?.message).toContain('never passes the hook forward');
  });

  test.each([
    ['iptables', 'ok'],
    ['nftables', 'ok'],
    ['kernelspace', 'warning'],
    [undefined, 'info'],
  ])('recorded: mode %s: %s', (mode, severity) => {
    expect(kubeProxy({ mode })).toEqual([expect.objectContaining({ code: 'PD202', severity })]);
  });

  test('recorded: IPVS of other software, such as kube-router and keepalived, is not taken for kube-proxy’s', () => {
    const warning = { code: 'PD202', severity: 'warning', certainty: 'likely' };
    expect(kubeProxy({ mode: undefined, ipvs: true })).toEqual([
      expect.objectContaining({ ...warning, message: expect.stringContaining('though no kube-proxy is visible') }),
    ]);
    expect(kubeProxy({ mode: 'iptables', ipvs: true })).toEqual([
      expect.objectContaining({ severity: 'ok' }),
      expect.objectContaining({ ...warning, message: expect.stringContaining('though kube-proxy uses iptables') }),
    ]);
  });
});

describe('flow tables', () => {
  test('recorded: one that rules add connections to, with its devices', () => {
    expect(flowTables(readNft(FLOW_TABLE))).toEqual([
      expect.objectContaining({
        code: 'PD203',
        severity: 'warning',
        certainty: 'certain',
        message: expect.stringContaining('inet kindnet-fastpath kindnet-flowtables (on eth0, veth1a2b3c4d)'),
      }),
    ]);
  });

  test('recorded: one without such rules may be unused', () => {
    const [found] = flowTables(readNft(FLOW_TABLE.replace(/.*flow add.*/, '')));
    expect(found).toMatchObject({ severity: 'warning', certainty: 'possible' });
  });
});

describe('NRI', () => {
  test.each([
    [
      { runtime: 'containerd://2.2.9', socket: '/var/run/nri/nri.sock' },
      'certain',
      'containerd 2.2.9 offers NRI at /var/run/nri/nri.sock',
    ],
    [{ runtime: 'containerd://2.2.9' }, 'likely', 'containerd 2.2.9 offers NRI, unless it was turned off'],
    [{ runtime: 'containerd://2.0.1', socket: null }, 'certain', 'containerd 2.0.1 has NRI turned off'],
    [
      { runtime: 'containerd://1.7.24', socket: null },
      'certain',
      'containerd 1.7.24 can offer NRI, but it is not turned on',
    ],
    [{ runtime: 'containerd://1.6.20~ds1' }, 'certain', 'containerd 1.6.20~ds1 is too old for NRI'],
    [{ runtime: 'cri-o://1.25.3' }, 'certain', 'cri-o 1.25.3 is too old for NRI'],
    [{ runtime: 'cri-o://1.30.4' }, 'likely', 'cri-o 1.30.4 offers NRI, unless it was turned off'],
    [{ runtime: 'docker://27.0.1' }, 'possible', 'Whether docker 27.0.1 offers NRI is not known'],
  ])('recorded: %j', (facts, certainty, words) => {
    expect(nri(facts)).toEqual([
      expect.objectContaining({ code: 'PD401', severity: 'info', certainty, message: expect.stringContaining(words) }),
    ]);
  });
});

describe('the memory limit', () => {
  test('recorded: the required memory is the measured one', () => {
    for (const [pods, policies, measured] of [
      [100, 10, 314],
      [10_000, 10_000, 368],
      [100_000, 10_000, 506],
    ] as const) {
      expect(Math.abs(memoryNeed(pods, policies) / MIB - measured)).toBeLessThan(2);
    }
  });

  test.each([
    [1024, 'ok'],
    [600, 'warning'],
    [400, 'problem'],
  ])('recorded: %d MiB in a cluster of 100,000 pods: %s', (limit, severity) => {
    const found = memoryLimit({ limit: limit * MIB, pods: 100_000, policies: 10_000 });
    expect(found).toMatchObject({ code: 'PD504', severity });
    expect(found.message).toContain('100,000 pods and 10,000 policies');
  });

  test('recorded: cgroup v2: the lowest limit of a group and its parents counts', () => {
    const files: Readonly<Record<string, string>> = {
      '/proc/self/cgroup': '0::/kubepods.slice/pod1/agent\n',
      '/sys/fs/cgroup/kubepods.slice/pod1/agent/memory.max': 'max\n',
      '/sys/fs/cgroup/kubepods.slice/pod1/memory.max': '1073741824\n',
    };
    expect(readMemoryLimit((path) => files[path])).toBe(1024 * MIB);
  });

  test('recorded: cgroup v2 in a container that sees its own group as the root', () => {
    const files: Readonly<Record<string, string>> = {
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/memory.max': '536870912\n',
    };
    expect(readMemoryLimit((path) => files[path])).toBe(512 * MIB);
  });

  test('recorded: cgroup v1 writes no limit as a large number', () => {
    const files: Readonly<Record<string, string>> = {
      '/proc/self/cgroup': '9:name=systemd:/\n4:memory:/\n0::/\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    };
    expect(readMemoryLimit((path) => files[path])).toBeUndefined();
  });

  test.each([
    ['1Gi', 1024 * MIB],
    ['512M', 512_000_000],
    ['1.5Gi', 1536 * MIB],
    ['1e9', 1_000_000_000],
    ['128974848', 128_974_848],
    ['100k', 100_000],
    ['64Ki', 65_536],
    ['many', undefined],
    ['', undefined],
  ])('recorded: the quantity %s', (quantity, bytes) => {
    expect(bytesOf(quantity)).toBe(bytes);
  });
});
