/** Real packets with forged sources on a real kernel, and everything that looks like them. */
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { podRanges } from '../../../src/dataplane/spoofing/pod-ranges.ts';
import { TABLE } from '../../../src/dataplane/spoofing/rules.ts';
import { removeSpoofing, SpoofingGuard } from '../../../src/dataplane/spoofing/spoofing-guard.ts';
import { SteeringError } from '../../../src/dataplane/steering/error.ts';
import { type System, system } from '../../../src/dataplane/steering/run.ts';
import { describeAsRoot } from '../../root.ts';
import { type Host, RANGES, RoutedNode, SERVICE, VIPS } from './routed-node.ts';

interface Forgery {
  readonly what: string;
  readonly from: Host;
  readonly source: string;
  readonly to: string;
  readonly at: Host;
}

/** The kernel itself drops the node's own IPv4 addresses as sources (fib_validate_source). */
const FORGERIES: readonly Forgery[] = [
  { what: "another pod's address, to a third", from: 'a', source: '10.0.0.3', to: '10.0.1.5', at: 'far' },
  { what: "another pod's address, to a third", from: 'a', source: 'fd00::3', to: 'fd00:1::5', at: 'far' },
  { what: "another node's pod's address", from: 'a', source: '10.0.1.5', to: '10.0.0.3', at: 'b' },
  { what: "another node's pod's address", from: 'a', source: 'fd00:1::5', to: 'fd00::3', at: 'b' },
  { what: "a pod's address that nobody has", from: 'a', source: '10.0.0.77', to: '10.0.0.3', at: 'b' },
  { what: "a pod's address that nobody has", from: 'a', source: 'fd00::77', to: 'fd00::3', at: 'b' },
  { what: "a pod's address, from outside", from: 'far', source: '10.0.0.2', to: '10.0.0.3', at: 'b' },
  { what: "a pod's address, from outside", from: 'far', source: 'fd00::2', to: 'fd00::3', at: 'b' },
  { what: "the node's address", from: 'a', source: 'fd07::1', to: 'fd00::3', at: 'b' },
  { what: "the node's address on lo", from: 'a', source: 'fd09::9', to: 'fd00::3', at: 'b' },
  { what: "the node's second address on an uplink", from: 'a', source: 'fd09::10', to: 'fd00::3', at: 'b' },
  { what: "the node's address among the pods'", from: 'b', source: 'fd00::1', to: 'fd00:1::5', at: 'far' },
  { what: "the node's address, to the node", from: 'a', source: 'fd07::1', to: 'fd00::1', at: 'node' },
];

describeAsRoot('A node that drops forged sources', () => {
  let net: RoutedNode;
  let host: System;
  let guard: SpoofingGuard;
  beforeAll(() => {
    net = new RoutedNode();
    host = system(net.netns('node'));
    return () => net[Symbol.dispose]();
  });
  beforeEach(() => {
    guard = new SpoofingGuard(host, podRanges(RANGES));
  });
  afterEach(() => removeSpoofing(host));

  it.each(FORGERIES)('drops $what: $source from $from', async ({ from, source, to, at }) => {
    expect(net.forge(from, source, to, at)).toBe(true);
    expect(await guard.install()).toBeUndefined();
    expect(net.forge(from, source, to, at)).toBe(false);
  });

  describe('lets pass', () => {
    beforeEach(async () => {
      await guard.install();
    });
    afterEach(async () => {
      await guard.check();
      expect([...guard.status().dropped]).toEqual([]);
    });

    it.each([
      ['a', '10.0.0.3', undefined],
      ['a', 'fd00::3', undefined],
      ['a', '10.0.0.1', undefined],
      ['a', 'fd00::1', undefined],
      ['node', '10.0.0.2', undefined],
      ['node', 'fd00::2', undefined],
    ] as const)('pods on /32 routes and their node: %s to %s', (from, to, source) => {
      expect(net.answers(from, to, source)).toBe(true);
    });

    it.each([
      ['10.0.1.5', '10.0.0.2'],
      ['fd00:1::5', 'fd00::2'],
    ])("another node's pod by the interface that routes there: %s", (source, to) => {
      expect(net.answers('far', to, source)).toBe(true);
    });

    it.each([
      ['10.0.2.5', '10.0.0.2'],
      ['fd00:2::5', 'fd00::2'],
    ])('an egress gateway with a route of its own, which is the way back: %s', (source, to) => {
      expect(net.answers('far', to, source)).toBe(true);
    });

    it.each(VIPS)('packets to and from %s of the node', (vip) => {
      expect(net.answers('a', vip)).toBe(true);
      expect(net.answers('far', vip)).toBe(true);
      expect(net.answers('node', vip)).toBe(true);
      expect(net.answers('node', vip.includes(':') ? 'fd00::2' : '10.0.0.2', vip)).toBe(true);
    });

    it("a pod's second network, whatever its sources", () => {
      expect(net.answers('a', '172.30.0.1')).toBe(true);
      expect(net.forge('a', '172.31.0.9', '10.0.0.3', 'b')).toBe(true);
    });

    it.each(['127.0.0.1', '::1', '192.168.7.1', 'fd07::1'])('the node to itself: %s', (own) => {
      expect(net.answers('node', own)).toBe(true);
    });

    it('a pod to itself through a Service', () => {
      expect(net.answers('a', SERVICE)).toBe(true);
    });

    it.each([
      ['multicast', '-I 192.168.7.1 224.0.0.1'],
      ['multicast', '-I fd07::1 ff02::1%uplink'],
      ['broadcast', '-b 192.168.7.255'],
    ])("the node's own %s, which comes back to it: ping %s", (_, where) => {
      const passed = `table inet passed {
        chain prerouting {
          type filter hook prerouting priority -299;
          iifname uplink icmp type echo-request counter accept
          iifname uplink icmpv6 type echo-request counter accept
        }
      }
`;
      net.shell('node', 'nft -f -', passed);
      onTestFinished(() => void net.shell('node', 'nft delete table inet passed'));
      net.shell('node', `ping -c 1 -W 0.2 ${where} > /dev/null 2>&1 || true`);
      expect(net.shell('node', 'nft list table inet passed')).toMatch(/counter packets [1-9]/);
    });

    it('neighbour discovery by link-local addresses', () => {
      net.shell('node', 'ip -6 neigh flush dev pod-a');
      net.shell('a', 'ip -6 neigh flush dev eth0');
      expect(net.answers('a', 'fd00::1')).toBe(true);
      const [, linkLocal = ''] = /inet6 (fe80::[\da-f:]+)/.exec(net.shell('node', 'ip addr show dev pod-a')) ?? [];
      expect(net.answers('a', `${linkLocal}%eth0`)).toBe(true);
    });

    it("a pod whose link-local address is also the node's, on another link", () => {
      net.shell('node', 'ip addr add fe80::77/64 dev uplink nodad');
      net.shell('a', 'ip addr add fe80::77/64 dev eth0 nodad');
      onTestFinished(() => {
        net.shell('node', 'ip addr del fe80::77/64 dev uplink');
        net.shell('a', 'ip addr del fe80::77/64 dev eth0');
      });
      expect(net.answers('a', 'fd00::1', 'fe80::77%eth0')).toBe(true);
    });

    it('the answer that an address which the node wants is taken', async () => {
      net.shell('far', 'ip addr add fd07::77/64 dev uplink nodad');
      net.shell('node', 'echo 1 > /proc/sys/net/ipv6/conf/uplink/accept_dad; ip addr add fd07::77/64 dev uplink');
      onTestFinished(() => {
        net.shell('node', 'echo 0 > /proc/sys/net/ipv6/conf/uplink/accept_dad; ip addr del fd07::77/64 dev uplink');
        net.shell('far', 'ip addr del fd07::77/64 dev uplink');
      });
      await expect.poll(() => net.shell('node', 'ip addr show dev uplink')).toMatch(/fd07::77.* dadfailed/);
    });
  });

  it('drops what another node sends by an interface that does not route back', async () => {
    await guard.install();
    net.shell('far', 'ip rule add from 10.0.1.5 lookup 100');
    onTestFinished(() => void net.shell('far', 'ip rule del from 10.0.1.5 lookup 100'));
    expect(net.answers('far', '10.0.0.2', '10.0.1.5')).toBe(false);
    await guard.check();
    expect([...guard.status().dropped.keys()]).toEqual(['uplink2']);
  });

  it('counts by interface, from its own start on', async () => {
    await guard.install();
    net.forge('a', '10.0.1.5', '10.0.0.3', 'b');
    await guard.check();
    net.forge('a', '10.0.1.5', '10.0.0.3', 'b');
    net.forge('far', '10.0.0.2', '10.0.0.3', 'b');
    await guard.check();
    expect(guard.status()).toEqual({
      state: 'drop',
      podRanges: 4,
      dropped: new Map([
        ['pod-a', 2],
        ['uplink', 1],
      ]),
    });
    const next = new SpoofingGuard(host);
    await next.install();
    net.forge('a', '10.0.1.5', '10.0.0.3', 'b');
    await next.check();
    expect([...next.status().dropped]).toEqual([['pod-a', 1]]);
  });

  it('drops and counts though the kernel counts no more interfaces', async () => {
    await guard.install();
    const names = Array.from({ length: 256 }, (_, index) => `"gone-${index}"`).join(', ');
    net.shell('node', 'nft -f -', `add element inet ${TABLE} interfaces { ${names} }\n`);
    expect(net.forge('a', '10.0.1.5', '10.0.0.3', 'b')).toBe(false);
    await guard.check();
    expect([...guard.status().dropped]).toEqual([['other', 1]]);
  });

  it('is adopted by the next one without a change of its chains, ranges included', async () => {
    await guard.install();
    const before = net.shell('node', `nft -a list table inet ${TABLE}`);
    const next = new SpoofingGuard(host);
    await next.install();
    expect(await next.check()).toEqual([]);
    expect(net.shell('node', `nft -a list table inet ${TABLE}`)).toBe(before);
    expect(net.forge('a', '10.0.1.5', '10.0.0.3', 'b')).toBe(false);
  });

  it('takes other ranges and leaves its rules alone', async () => {
    await guard.install();
    const handles = () => net.shell('node', `nft -a list table inet ${TABLE}`).match(/# handle \d+/g);
    const before = handles();
    await guard.setRanges(podRanges(['10.0.0.0/24', '172.31.0.8/29', '0.0.0.0/32', 'fd00::/64']));
    expect(handles()).toEqual(before);
    expect(net.forge('a', '172.31.0.9', '10.0.0.3', 'b')).toBe(false);
    expect(net.forge('a', '10.0.1.5', '10.0.0.3', 'b')).toBe(true);
    expect(await guard.check()).toEqual([]);
    await guard.setRanges(podRanges([]));
    expect(await guard.check()).toEqual([]);
    expect(net.forge('a', '10.0.0.77', '10.0.0.3', 'b')).toBe(true);
  });

  it.each([
    ['a flushed ruleset', `delete table inet ${TABLE}`, `nftables, table inet ${TABLE} is gone`],
    [
      'a flushed chain',
      `flush chain inet ${TABLE} prerouting`,
      `nftables, table inet ${TABLE}: chain prerouting was changed`,
    ],
    ['emptied ranges', `flush set inet ${TABLE} pods4`, `nftables, table inet ${TABLE}: its sets were changed`],
  ])('restores %s', async (_, command, told) => {
    await guard.install();
    net.forge('a', '10.0.1.5', '10.0.0.3', 'b');
    await guard.check();
    net.shell('node', `nft ${command}`);
    expect(net.forge('a', '10.0.1.5', '10.0.0.3', 'b')).toBe(true);
    expect(await guard.check()).toEqual([told]);
    expect(net.forge('a', '10.0.1.5', '10.0.0.3', 'b')).toBe(false);
    expect(await guard.check()).toEqual([]);
    expect([...guard.status().dropped]).toEqual([['pod-a', 2]]);
  });

  it('removes only what it wrote itself if the agent does not start', async () => {
    await guard.install();
    const next = new SpoofingGuard(host);
    await next.install();
    await next.retract();
    expect(net.shell('node', 'nft list tables')).toContain(TABLE);
    await guard.retract();
    expect(net.shell('node', 'nft list tables')).not.toContain(TABLE);
  });

  it('writes nothing where the kernel lacks fib, and says so', async () => {
    const lacking: System = {
      ...host,
      run: async (command, args, input = '') => {
        if (args.includes('-c') && input.includes('fib'))
          throw new SteeringError('KERNEL_LACKS', 'Could not process rule: No such file or directory', '');
        return await host.run(command, args, input);
      },
    };
    const without = new SpoofingGuard(lacking, podRanges(RANGES));
    expect(await without.install()).toMatchObject({ code: 'KERNEL_LACKS' });
    expect(await without.check()).toEqual([]);
    expect(without.status()).toMatchObject({
      state: 'unsupported',
      problem: expect.stringContaining('cannot be told'),
    });
    expect(net.shell('node', 'nft list tables')).not.toContain(TABLE);
  });
});
