/** Assigns nodes to pods, and addresses to nodes. */
import type { PodRecord } from '../cluster/records.ts';
import { recordKey } from '../cluster/records.ts';
import { AF_INET } from '../sys/libc.ts';
import { familyOf } from '../sys/sockets.ts';

export interface LabNode {
  readonly name: string;
  readonly addresses: readonly string[];
}

/**
 * Returns the names of the lab's nodes: those that pods name, in order, then `node-1`, `node-2`, …
 * up to the wanted number. By default as many as pods name, but at least one.
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
 * Returns the nodes with their addresses. A host-network pod whose record has addresses defines
 * those of its node. Other nodes get 172.18.0.2, fd00:172:18::2 and so on, one for each family that
 * any pod or external host has, skipping addresses that are `taken`.
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
  /** Nodes that pods name but the lab does not have: pods of the same such node stay together. */
  readonly #strangers: string[] = [];
  readonly #placed = new Map<string, PodRecord>();
  #next = 0;

  constructor(nodes: readonly LabNode[]) {
    this.#nodes = nodes;
  }

  /**
   * Returns the record with its node, and for a host-network pod with the node's addresses. A known
   * pod stays on its node.
   */
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

  /** Like the real scheduler, allows a host port only once per node. */
  #portsTaken(pod: PodRecord, node: LabNode): boolean {
    const wanted = new Set(pod.ports.map(({ port, protocol }) => `${protocol} ${port}`));
    for (const other of this.#placed.values()) {
      if (!other.hostNetwork || other.nodeName !== node.name) continue;
      if (other.ports.some(({ port, protocol }) => wanted.has(`${protocol} ${port}`))) return true;
    }
    return false;
  }
}
