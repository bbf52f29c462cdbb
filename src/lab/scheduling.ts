/** Which node each pod runs on, and what addresses the nodes have. */
import type { PodRecord } from '../cluster/records.ts';
import { recordKey } from '../cluster/records.ts';
import { AF_INET } from '../sys/libc.ts';
import { familyOf } from '../sys/sockets.ts';

export interface LabNode {
  readonly name: string;
  readonly addresses: readonly string[];
}

/**
 * The names of the lab's nodes: those that pods name, in their order, then `node-1`, `node-2`, … up to the wanted number. Without a wanted
 * number as many as pods name, and at least one.
 */
export function nodeNames(
  pods: readonly PodRecord[],
  wanted: number | readonly string[] | undefined,
): readonly string[] {
  if (typeof wanted === 'object') return wanted;
  const names = [...new Set(pods.flatMap((pod) => pod.nodeName ?? []))];
  const count = Math.max(1, wanted ?? names.length);
  for (let i = 1; names.length < count; i++) {
    if (!names.includes(`node-${i}`)) names.push(`node-${i}`);
  }
  return names.slice(0, count);
}

/**
 * The nodes with their addresses. A pod of the host network that came with addresses tells those of its node; the others get 172.18.0.2,
 * fd00:172:18::2 and so on, of each family that some pod or external host has, but none that is `taken`.
 */
export function labNodes(
  names: readonly string[],
  pods: readonly PodRecord[],
  taken: ReadonlySet<string>,
): readonly LabNode[] {
  const families = new Set([...taken].map(familyOf));
  if (families.size === 0) families.add(AF_INET);
  const used = new Set(taken);
  let last = 1;
  return names.map((name) => {
    const known =
      pods.find((pod) => pod.hostNetwork && pod.nodeName === name && pod.addresses.length > 0)?.addresses ?? [];
    const addresses = known.filter((address) => !used.has(address));
    const missing = [...families].filter((family) => !addresses.some((address) => familyOf(address) === family));
    let made: string[];
    do {
      const number = ++last;
      made = missing.map((family) => nodeAddress(family, number));
    } while (made.some((address) => used.has(address)));
    addresses.push(...made);
    for (const address of addresses) used.add(address);
    return { name, addresses };
  });
}

function nodeAddress(family: number, number: number): string {
  return family === AF_INET ? `172.18.${number >> 8}.${number & 255}` : `fd00:172:18::${number.toString(16)}`;
}

export class Scheduler {
  readonly #nodes: readonly LabNode[];
  /** Nodes that pods name but the lab has not: pods that name the same one stay together. */
  readonly #strangers: string[] = [];
  readonly #placed = new Map<string, PodRecord>();
  #next = 0;

  constructor(nodes: readonly LabNode[]) {
    this.#nodes = nodes;
  }

  /** The record with its node filled in, and with the node's addresses where it uses the host's network. A known pod stays where it is. */
  place(pod: PodRecord): PodRecord {
    const before = this.#placed.get(recordKey(pod));
    const node = this.#nodes.find(({ name }) => name === before?.nodeName) ?? this.#choose(pod);
    const placed = { ...pod, nodeName: node.name, addresses: pod.hostNetwork ? node.addresses : pod.addresses };
    this.#placed.set(recordKey(pod), placed);
    return placed;
  }

  #choose(pod: PodRecord): LabNode {
    if (pod.nodeName !== undefined) return this.#named(pod.nodeName);
    for (let i = 0; i < this.#nodes.length; i++) {
      const node = this.#at(this.#next + i);
      if (pod.hostNetwork && this.#portsTaken(pod, node)) continue;
      this.#next += i + 1;
      return node;
    }
    return this.#at(this.#next++);
  }

  #named(name: string): LabNode {
    const node = this.#nodes.find((each) => each.name === name);
    if (node) return node;
    if (!this.#strangers.includes(name)) this.#strangers.push(name);
    return this.#at(this.#strangers.indexOf(name));
  }

  #at(index: number): LabNode {
    return this.#nodes[index % this.#nodes.length] as LabNode;
  }

  /** As the real scheduler, which lets no two pods of one host network have the same port. */
  #portsTaken(pod: PodRecord, node: LabNode): boolean {
    const wanted = new Set(pod.ports.map(({ port, protocol }) => `${protocol} ${port}`));
    for (const other of this.#placed.values()) {
      if (!other.hostNetwork || other.nodeName !== node.name) continue;
      if (other.ports.some(({ port, protocol }) => wanted.has(`${protocol} ${port}`))) return true;
    }
    return false;
  }
}
