/**
 * The lab's network: each host is an anonymous network namespace.
 *
 *     pod ──eth0───podN── node ──eth0───nodeN── fabric ──extN───eth0── external host
 *
 * If pods are on cables, a second link separates each pod from its node, and podfence joins the
 * two:
 *
 *     pod ──eth0───tapN│ podfence │plugN───podN── node
 *
 * All links are routed point to point: each host has its addresses as /32 and /128 and a default
 * route to the other end of its link, and each router has a route to every host. Neighbour entries
 * are static, so thousands of simultaneous first packets never wait for ARP. Nothing is in the root
 * namespace, and no route leads out.
 */
import { writeFileSync } from 'node:fs';
import { AF_INET } from '../sys/libc.ts';
import { Netns } from '../sys/netns.ts';
import { familyOf } from '../sys/sockets.ts';
import { runChecked } from './run-command.ts';

/**
 * Gateways that are not a host's address: they only name the neighbour at the other end of the
 * link.
 */
const GATEWAYS = ['169.254.1.1', 'fe80::1'];

/** The fabric's own addresses, for the ICMP errors that it sends. */
const FABRIC_ADDRESSES = ['172.18.0.1', 'fd00:172:18::1'];

const ROUTER_SYSCTLS = [
  ['ipv4/ip_forward', '1'],
  ['ipv6/conf/all/forwarding', '1'],
  ['ipv4/icmp_ratelimit', '0'],
  ['ipv6/icmp/ratelimit', '0'],
  ...['all', 'default'].flatMap((scope) => [
    [`ipv4/conf/${scope}/rp_filter`, '0'],
    [`ipv4/conf/${scope}/send_redirects`, '0'],
  ]),
] as const;

export interface Host {
  readonly netns: Netns;
  readonly addresses: readonly string[];
}

export interface NodeHost extends Host {
  readonly name: string;
}

interface Link {
  /** Interface on the router's side. */
  readonly name: string;
  readonly number: number;
}

export class Topology {
  readonly fabric = router();
  readonly #nodes = new Map<string, NodeHost>();
  readonly #links = new Map<Host, Link>();
  readonly #podsOnCables: boolean;
  #linkCount = 0;

  private constructor(podsOnCables: boolean) {
    this.#podsOnCables = podsOnCables;
  }

  /** Creates the nodes. */
  static async create(
    nodes: readonly { readonly name: string; readonly addresses: readonly string[] }[],
    podsOnCables = false,
  ): Promise<Topology> {
    const topology = new Topology(podsOnCables);
    try {
      await ip(topology.fabric, ['link set lo up', ...FABRIC_ADDRESSES.map((address) => addAddress(address, 'lo'))]);
      const hosts = nodes.map(({ name, addresses }) => ({ name, netns: router(), addresses }));
      for (const host of hosts) topology.#nodes.set(host.name, host);
      await topology.#attach(topology.fabric, 'node', hosts, []);
      return topology;
    } catch (error) {
      topology.close();
      throw error;
    }
  }

  node(name: string): NodeHost {
    const node = this.#nodes.get(name);
    if (!node) throw new Error(`no node ${name}`);
    return node;
  }

  /** Creates hosts outside the cluster. */
  async addExternals(addresses: readonly (readonly string[])[]): Promise<Host[]> {
    const hosts = addresses.map((each) => ({ netns: Netns.create(), addresses: each }));
    await this.#attach(this.fabric, 'ext', hosts, []);
    return hosts;
  }

  /** Creates pods on a node. */
  async addPods(nodeName: string, addresses: readonly (readonly string[])[]): Promise<Host[]> {
    const node = this.node(nodeName);
    const hosts = addresses.map((each) => ({ netns: Netns.create(), addresses: each }));
    const uplink = this.#links.get(node);
    if (!uplink) throw new Error(`node ${nodeName} is not linked`);
    const routes = hosts.flatMap((host) => host.addresses.map((address) => routeVia(address, node, uplink.name)));
    const attached = this.#attach(node.netns, 'pod', hosts, node.addresses, this.#podsOnCables);
    await Promise.all([attached, ip(this.fabric, routes)]);
    return hosts;
  }

  /**
   * The two interfaces in a pod's node that podfence joins: towards the pod, and towards the node.
   */
  cable(pod: Host): readonly [string, string] {
    const { number = 0 } = this.#links.get(pod) ?? {};
    return [`tap${number}`, `plug${number}`];
  }

  /** Removes a pod; its namespace ends with its last process. */
  async removePod(nodeName: string, pod: Host): Promise<void> {
    const link = this.#links.get(pod);
    if (!link) return;
    const own = this.#podsOnCables ? [link.name, this.cable(pod)[0]] : [link.name];
    this.#links.delete(pod);
    await ip(
      this.node(nodeName).netns,
      own.map((name) => `link delete ${name}`),
    );
    await ip(
      this.fabric,
      pod.addresses.map((address) => `route delete ${prefix(address)}`),
    );
    pod.netns.close();
  }

  /** Closes all namespaces. */
  close(): void {
    for (const host of [...this.#links.keys()]) host.netns.close();
    this.#links.clear();
    this.fabric.close();
  }

  /** Links hosts to a router; `sources` are the router's own source addresses towards them. */
  async #attach(
    to: Netns,
    kind: string,
    hosts: readonly Host[],
    sources: readonly string[],
    onCables = false,
  ): Promise<void> {
    const routerLines: string[] = [];
    const links = hosts.map((host) => {
      const number = ++this.#linkCount;
      const link = { name: `${kind}${number}`, number };
      this.#links.set(host, link);
      routerLines.push(...(onCables ? cableSide(host, link, this.cable(host)) : [addLink(host, link)]));
      routerLines.push(...routerSide(host, link, sources));
      return link;
    });
    await ip(to, routerLines);
    await Promise.all(hosts.map((host, i) => ip(host.netns, hostSide(host, links[i] as Link))));
  }
}

function router(): Netns {
  const netns = Netns.create();
  netns.run(() => {
    for (const [name, value] of ROUTER_SYSCTLS) writeSysctl(name, value);
  });
  return netns;
}

/** A kernel without IPv6 has none of its sysctls. */
function writeSysctl(name: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/net/${name}`, value);
  } catch (error) {
    if (!name.startsWith('ipv6/')) throw error;
  }
}

function addLink({ netns }: Host, { name, number }: Link): string {
  return `link add name ${name} address ${mac(1, number)} type veth peer name eth0 address ${mac(2, number)} netns ${netns.path}`;
}

function cableSide({ netns }: Host, { name, number }: Link, [tap, plug]: readonly [string, string]): string[] {
  return [
    `link add name ${tap} type veth peer name eth0 address ${mac(2, number)} netns ${netns.path}`,
    `link add name ${name} address ${mac(1, number)} type veth peer name ${plug}`,
    ...[tap, plug].map((each) => `link set dev ${each} addrgenmode none up`),
  ];
}

function routerSide({ addresses }: Host, { name, number }: Link, sources: readonly string[]): string[] {
  return [
    `link set dev ${name} addrgenmode none up`,
    ...addresses.flatMap((address) => {
      const source = sources.find((each) => familyOf(each) === familyOf(address));
      return [
        `neighbour replace ${address} lladdr ${mac(2, number)} dev ${name} nud permanent`,
        `route replace ${prefix(address)} dev ${name}${source ? ` src ${source}` : ''}`,
      ];
    }),
  ];
}

function hostSide({ addresses }: Host, { number }: Link): string[] {
  const gateways = GATEWAYS.filter((gateway) => addresses.some((address) => familyOf(address) === familyOf(gateway)));
  return [
    'link set lo up',
    'link set dev eth0 addrgenmode none up',
    ...addresses.map((address) => addAddress(address, 'eth0')),
    ...gateways.flatMap((gateway) => [
      `neighbour replace ${gateway} lladdr ${mac(1, number)} dev eth0 nud permanent`,
      `route replace default via ${gateway} dev eth0 onlink`,
    ]),
  ];
}

function routeVia(address: string, node: Host, device: string): string {
  const gateway = node.addresses.find((each) => familyOf(each) === familyOf(address));
  if (!gateway) throw new Error(`a node without an address of the family of ${address}`);
  return `route replace ${prefix(address)} via ${gateway} dev ${device} onlink`;
}

function addAddress(address: string, device: string): string {
  return familyOf(address) === AF_INET
    ? `address add ${prefix(address)} dev ${device}`
    : `address add ${prefix(address)} dev ${device} nodad`;
}

function prefix(address: string): string {
  return `${address}/${familyOf(address) === AF_INET ? 32 : 128}`;
}

/** Returns a locally administered address that encodes the link and its side. */
function mac(side: number, link: number): string {
  const bytes = [2, 0, side, link >> 16, (link >> 8) & 0xff, link & 0xff];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Runs lines of ip(8) in a namespace. */
async function ip(netns: Netns, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  await runChecked(netns, ['ip', '-batch', '-'], lines.join('\n'));
}
