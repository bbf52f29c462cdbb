/**
 * Services by destination NAT, as in kube-proxy's iptables mode (pkg/proxy/iptables/proxier.go):
 * PREROUTING and OUTPUT translate to a backend. POSTROUTING masquerades connections that came
 * through a node port, and those that a backend opened to itself. A Service without endpoints is
 * refused.
 *
 * One rule is added before the random choice: a source port above the ephemeral range selects the
 * backend, so a prober knows which pod it reaches.
 */

import type { ServicePort } from '../cluster/service-ports.ts';
import { AF_INET } from '../sys/libc.ts';
import { familyOf } from '../sys/sockets.ts';
import type { PortRange } from './traffic/messages.ts';

/** The packet mark bit that kube-proxy uses. */
const MASQUERADE = '0x4000/0x4000';

/** How many backends of a Service a source port can select. */
export const CHOOSABLE_BACKENDS = 8;
const CHOICE_FIRST = 61_000;
const CHOICE_COUNT = 512;

/**
 * Returns the source ports that select the backend with this index, which is below
 * CHOOSABLE_BACKENDS.
 */
export function choosingPorts(backend: number): PortRange {
  return { first: CHOICE_FIRST + backend * CHOICE_COUNT, count: CHOICE_COUNT };
}

export interface ServiceRules {
  /** Input of `iptables-restore --noflush` (or, for AF_INET6, ip6tables-restore). */
  readonly input: string;
  /** The chains in use after that, by table. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
}

/**
 * Renders rules that make the nat and filter tables serve exactly these Services, in place of
 * `before`. Never removes a built-in chain: doing so, even for a moment, drops the packets that
 * wait in the namespace's queues (nf_queue_nf_hook_drop in the kernel's net/netfilter/nf_queue.c).
 */
export function renderServices(services: readonly ServicePort[], family: number, before?: ServiceRules): ServiceRules {
  const nat = new Table('nat', ['LAB-SERVICES', 'LAB-NODEPORTS', 'LAB-POSTROUTING']);
  const filter = new Table('filter', ['LAB-REFUSED']);
  if (before === undefined) {
    nat.rules.push('PREROUTING -j LAB-SERVICES', 'OUTPUT -j LAB-SERVICES', 'POSTROUTING -j LAB-POSTROUTING');
    filter.rules.push('INPUT -j LAB-REFUSED', 'FORWARD -j LAB-REFUSED', 'OUTPUT -j LAB-REFUSED');
  }
  for (const [number, service] of services.entries()) {
    if (familyOf(service.clusterIP) !== family) continue;
    if (service.backends.length > 0) translate(nat, service, number, family);
    else refuse(filter, service, family);
  }
  nat.rules.push(
    'LAB-SERVICES -m addrtype --dst-type LOCAL -j LAB-NODEPORTS',
    `LAB-POSTROUTING -m mark ! --mark ${MASQUERADE} -j RETURN`,
    'LAB-POSTROUTING -j MARK --xor-mark 0x4000',
    'LAB-POSTROUTING -j MASQUERADE',
  );
  const tables = [nat, filter];
  return {
    input: tables.map((table) => table.render(before?.chains.get(table.name) ?? [])).join(''),
    chains: new Map(tables.map(({ name, chains }) => [name, chains])),
  };
}

function translate(nat: Table, service: ServicePort, number: number, family: number): void {
  const { clusterIP, port, nodePort, backends } = service;
  const protocol = service.protocol.toLowerCase();
  const chain = `LAB-SVC-${number}`;
  const external = `LAB-EXT-${number}`;
  nat.chains.push(chain);
  nat.rules.push(`LAB-SERVICES -d ${clusterIP} -p ${protocol} --dport ${port} -j ${chain}`);
  if (nodePort !== undefined) {
    nat.chains.push(external);
    nat.rules.push(
      `LAB-NODEPORTS -p ${protocol} --dport ${nodePort} -j ${external}`,
      `${external} -j MARK --or-mark 0x4000`,
      `${external} -j ${chain}`,
    );
  }
  const endpoint = (i: number) => `LAB-SEP-${number}-${i}`;
  for (let i = 0; i < Math.min(backends.length, CHOOSABLE_BACKENDS); i++) {
    const { first, count } = choosingPorts(i);
    nat.rules.push(`${chain} -p ${protocol} --sport ${first}:${first + count - 1} -j ${endpoint(i)}`);
  }
  for (const [i, { address, port: target }] of backends.entries()) {
    const left = backends.length - i;
    const chance = left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
    const destination = family === AF_INET ? `${address}:${target}` : `[${address}]:${target}`;
    nat.chains.push(endpoint(i));
    nat.rules.push(
      `${chain}${chance} -j ${endpoint(i)}`,
      `${endpoint(i)} -s ${address} -j MARK --or-mark 0x4000`,
      `${endpoint(i)} -p ${protocol} -j DNAT --to-destination ${destination}`,
    );
  }
}

function refuse(filter: Table, { clusterIP, protocol, port, nodePort }: ServicePort, family: number): void {
  const reject = `-j REJECT --reject-with ${family === AF_INET ? 'icmp-port-unreachable' : 'icmp6-port-unreachable'}`;
  const match = (value: number) => `-p ${protocol.toLowerCase()} --dport ${value}`;
  filter.rules.push(`LAB-REFUSED -d ${clusterIP} ${match(port)} ${reject}`);
  if (nodePort !== undefined) {
    filter.rules.push(`LAB-REFUSED -m addrtype --dst-type LOCAL ${match(nodePort)} ${reject}`);
  }
}

class Table {
  readonly name: string;
  readonly chains: string[];
  readonly rules: string[] = [];

  constructor(name: string, chains: string[]) {
    this.name = name;
    this.chains = chains;
  }

  /** Declaring a chain flushes it. Chains of `before` that are no longer used are deleted. */
  render(before: readonly string[]): string {
    const gone = before.filter((chain) => !this.chains.includes(chain));
    return [
      `*${this.name}`,
      ...[...this.chains, ...gone].map((chain) => `:${chain} - [0:0]`),
      ...this.rules.map((rule) => `-A ${rule}`),
      ...gone.map((chain) => `-X ${chain}`),
      'COMMIT',
      '',
    ].join('\n');
  }
}
