/**
 * A node with pods on veths and /32 routes, two uplinks to another node, addresses of its own, and
 * a second network of a pod. Every namespace counts the echo requests that reach it by source.
 *
 *     a 10.0.0.2, fd00::2 ─┐            ┌─ uplink 192.168.7.1 ── far: 10.0.1.5, fd00:1::5
 *     b 10.0.0.3, fd00::3 ─┤  node      │
 *     a net1 172.30.0.2  ──┘  10.0.0.1  └─ uplink2 192.168.8.1 ── far, with the route back to
 *                             fd00::1       10.0.2.0/24, fd00:2::/64: 10.0.2.5, fd00:2::5
 */
import { Netns } from '../../../src/sys/netns.ts';
import { patience } from '../../patience.ts';
import { shell } from '../steering/pods.ts';

export const RANGES = ['10.0.0.0/24', '10.0.1.0/24', '10.0.2.0/24', 'fd00::/64', 'fd00:1::/64', 'fd00:2::/64'];
export const VIPS = ['10.9.9.9', 'fd09::9', '10.9.9.10', 'fd09::10'];
export const SERVICE = '10.96.0.10';

const SEEN = `table inet seen {
  set from4 { type ipv4_addr; flags dynamic; size 64; }
  set from6 { type ipv6_addr; flags dynamic; size 64; }
  chain prerouting {
    type filter hook prerouting priority -299;
    icmp type echo-request update @from4 { ip saddr }
    icmpv6 type echo-request update @from6 { ip6 saddr }
  }
}
`;

export type Host = 'node' | 'a' | 'b' | 'far';

export class RoutedNode implements Disposable {
  readonly #hosts: Readonly<Record<Host, Netns>> = {
    node: Netns.create(),
    a: Netns.create(),
    b: Netns.create(),
    far: Netns.create(),
  };

  constructor() {
    const { node, a, b, far } = this.#hosts;
    for (const host of Object.values(this.#hosts)) {
      shell(host, 'ip link set lo up; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad');
      shell(host, 'nft -f -', SEEN);
    }
    shell(node, 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding');
    for (const [name, netns, number] of [['a', a, 2] as const, ['b', b, 3] as const]) {
      shell(
        node,
        `ip link add pod-${name} type veth peer name eth0 netns ${netns.path}; ip link set pod-${name} up
         ip addr add 10.0.0.1/32 dev pod-${name}; ip addr add fd00::1/128 dev pod-${name} nodad`,
      );
      shell(
        netns,
        `ip link set eth0 up; ip addr add 10.0.0.${number}/32 dev eth0; ip addr add fd00::${number}/128 dev eth0 nodad
         ip route add 10.0.0.1 dev eth0; ip route add default via 10.0.0.1 dev eth0
         ip -6 route add fd00::1 dev eth0; ip -6 route add default via fd00::1 dev eth0`,
      );
      shell(node, `ip route add 10.0.0.${number} dev pod-${name}; ip -6 route add fd00::${number} dev pod-${name}`);
    }
    for (const [name, subnet] of [['uplink', 7] as const, ['uplink2', 8] as const]) {
      shell(
        node,
        `ip link add ${name} type veth peer name ${name} netns ${far.path}; ip link set ${name} up
         ip addr add 192.168.${subnet}.1/24 dev ${name}; ip addr add fd0${subnet}::1/64 dev ${name} nodad`,
      );
      shell(
        far,
        `ip link set ${name} up
         ip addr add 192.168.${subnet}.2/24 dev ${name}; ip addr add fd0${subnet}::2/64 dev ${name} nodad`,
      );
    }
    shell(
      node,
      `ip route add 10.0.1.0/24 via 192.168.7.2; ip -6 route add fd00:1::/64 via fd07::2
       ip route add 10.0.2.0/24 via 192.168.8.2; ip -6 route add fd00:2::/64 via fd08::2
       ip addr add 10.9.9.9/32 dev lo; ip addr add fd09::9/128 dev lo nodad
       ip addr add 10.9.9.10/32 dev uplink; ip addr add fd09::10/128 dev uplink nodad
       ip link add net1-a type veth peer name net1 netns ${a.path}; ip link set net1-a up
       ip addr add 172.30.0.1/24 dev net1-a`,
    );
    shell(a, 'ip link set net1 up; ip addr add 172.30.0.2/24 dev net1');
    shell(
      far,
      `for address in 10.0.1.5 10.0.2.5; do ip addr add $address/32 dev lo; done
       for address in fd00:1::5 fd00:2::5; do ip addr add $address/128 dev lo nodad; done
       ip route add 10.0.0.0/24 via 192.168.7.1; ip -6 route add fd00::/64 via fd07::1
       ip route add default via 192.168.7.1; ip -6 route add default via fd07::1
       ip rule add from 10.0.2.5 lookup 100; ip route add default via 192.168.8.1 table 100
       ip -6 rule add from fd00:2::5 lookup 100; ip -6 route add default via fd08::1 table 100`,
    );
    shell(
      node,
      'nft -f -',
      `table ip service {
         chain prerouting { type nat hook prerouting priority -100; ip daddr ${SERVICE} dnat to 10.0.0.2; }
         chain postrouting { type nat hook postrouting priority 100; ip saddr 10.0.0.2 ip daddr 10.0.0.2 masquerade; }
       }`,
    );
  }

  netns(host: Host): Netns {
    return this.#hosts[host];
  }

  shell(host: Host, script: string, input = ''): string {
    return shell(this.#hosts[host], script, input);
  }

  /** Whether an echo request with this source, or the host's own, is answered. */
  answers(from: Host, to: string, source?: string): boolean {
    return this.shell(from, `${ping(to, PATIENCE, source)} > /dev/null && echo yes || true`) !== '';
  }

  /**
   * Sends an echo request whose source is another host's address. Returns whether it came through
   * the node's guard (`node`) or reached another host.
   */
  forge(from: Host, source: string, to: string, at: Host, by?: string): boolean {
    const bits = source.includes(':') ? '128' : '32';
    const noDad = bits === '128' ? 'nodad' : '';
    this.shell(at, 'nft flush set inet seen from4; nft flush set inet seen from6');
    this.shell(from, `ip addr add ${source}/${bits} dev lo ${noDad}`);
    try {
      if (by !== undefined) this.shell(from, `ip route add ${to} ${by}`);
      this.shell(from, `${ping(to, SILENCE, source)} > /dev/null || true`);
    } finally {
      if (by !== undefined) this.shell(from, `ip route del ${to} ${by}`);
      this.shell(from, `ip addr del ${source}/${bits} dev lo`);
    }
    // Packets of one path stay in order, and ping has waited for the answer.
    return this.shell(at, 'nft list table inet seen').includes(source);
  }

  [Symbol.dispose](): void {
    for (const host of Object.values(this.#hosts)) host.close();
  }
}

/** Seconds for an answer, and for one that does not come. */
const PATIENCE = patience(2000) / 1000;
const SILENCE = 0.2;

function ping(to: string, wait: number, source?: string): string {
  return `ping -n -c 1 -W ${wait} ${source === undefined ? '' : `-I ${source} `}${to}`;
}
