/**
 * ipBlocks as longest-prefix match. The blocks of a class and direction can nest and overlap, each with holes of its own; every `cidr`
 * and every `except` becomes a prefix whose value is what all blocks together allow from there on down:
 *
 *     10.0.0.0/8 tcp/80, except 10.1.0.0/16          10.0.0.0/8     {80, 443}
 *     10.0.0.0/8 tcp/443                       =>    10.1.0.0/16    {443}
 *     10.1.2.0/24 tcp/53                             10.1.2.0/24    {53, 443}
 *
 * The longest prefix that holds an address then decides alone, which is exact.
 */
import type { AddressWords, Prefix } from './address-words.ts';
import type { PortSets } from './port-set.ts';
import { NO_PORTS } from './table-layout.ts';

export interface Block {
  readonly cidr: Prefix;
  readonly except: readonly Prefix[];
  /** Port set. */
  readonly ports: number;
}

/** A prefix, and the port set valid for the addresses of which it is the longest prefix. */
export interface PrefixPorts extends Prefix {
  readonly ports: number;
}

/** A block on the way down the prefixes. */
interface OpenBlock {
  readonly ports: number;
  /** Whether the present prefix is in its cidr, and in how many of its excepts. */
  begun: boolean;
  excluded: number;
}

interface Node {
  readonly prefix: Prefix;
  /** Blocks of which it is the cidr, and those of which it is an except. */
  readonly begins: OpenBlock[];
  readonly excludes: OpenBlock[];
}

/** The prefixes of all blocks, those left out that say nothing else than the next shorter one does. */
export function prefixPorts(blocks: readonly Block[], portSets: PortSets): PrefixPorts[] {
  const found: PrefixPorts[] = [];
  const descent = new Descent(portSets);
  for (const node of sortedNodes(blocks)) {
    const outside = descent.leaveUpTo(node);
    const ports = descent.enter(node, outside);
    if (ports !== outside) found.push({ ...node.prefix, ports });
  }
  return found;
}

/** The way from the shortest prefix down to the present one, and the blocks in force there. */
class Descent {
  private readonly portSets: PortSets;
  private readonly path: { readonly node: Node; readonly ports: number }[] = [];
  /** Blocks in force, by port set: ten thousand blocks usually have a handful of them. */
  private readonly inForce = new Map<number, number>();

  constructor(portSets: PortSets) {
    this.portSets = portSets;
  }

  /** Leaves the prefixes that do not hold the node's; gives the port set valid around it. */
  leaveUpTo({ prefix }: Node): number {
    for (let inner = this.path.at(-1); inner !== undefined; inner = this.path.at(-1)) {
      if (holds(inner.node.prefix, prefix)) return inner.ports;
      this.path.pop();
      this.leave(inner.node);
    }
    return NO_PORTS;
  }

  /** Gives the port set valid at the node, `outside` being that around it. */
  enter(node: Node, outside: number): number {
    let holed = false;
    for (const block of node.excludes) {
      if (block.excluded++ === 0 && block.begun) holed = this.count(block, -1) === 0 || holed;
    }
    const added = [outside];
    for (const block of node.begins) {
      block.begun = true;
      if (block.excluded > 0) continue;
      this.count(block, 1);
      added.push(block.ports);
    }
    // Ports can only be taken away by uniting anew what is left.
    const ports = this.portSets.union(holed ? this.inForce.keys() : added);
    this.path.push({ node, ports });
    return ports;
  }

  private leave(node: Node): void {
    for (const block of node.begins) {
      block.begun = false;
      if (block.excluded === 0) this.count(block, -1);
    }
    for (const block of node.excludes) {
      if (--block.excluded === 0 && block.begun) this.count(block, 1);
    }
  }

  /** Gives the number of blocks in force with this one's port set. */
  private count({ ports }: OpenBlock, change: 1 | -1): number {
    const count = (this.inForce.get(ports) ?? 0) + change;
    if (count > 0) this.inForce.set(ports, count);
    else this.inForce.delete(ports);
    return count;
  }
}

/** One node for each prefix, shorter before longer and what it holds right after it. */
function sortedNodes(blocks: readonly Block[]): Node[] {
  const nodes = new Map<string, Node>();
  const nodeAt = (prefix: Prefix): Node => {
    const key = `${prefix.address}/${prefix.length}`;
    const node = nodes.get(key) ?? { prefix, begins: [], excludes: [] };
    nodes.set(key, node);
    return node;
  };
  for (const { cidr, except, ports } of blocks) {
    const block = { ports, begun: false, excluded: 0 };
    nodeAt(cidr).begins.push(block);
    for (const hole of except) nodeAt(hole).excludes.push(block);
  }
  return [...nodes.values()].sort((a, b) => compare(a.prefix, b.prefix));
}

/** IPv4 first, then by address as unsigned integer, then by length. */
function compare(a: Prefix, b: Prefix): number {
  if (a.address.length !== b.address.length) return a.address.length - b.address.length;
  for (let i = 0; i < a.address.length; i++) {
    const difference = ((a.address[i] as number) >>> 0) - ((b.address[i] as number) >>> 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function holds(outer: Prefix, inner: Prefix): boolean {
  if (outer.address.length !== inner.address.length || outer.length > inner.length) return false;
  return outer.address.every((word, i) => word === ((inner.address[i] as number) & maskWord(outer.length - 32 * i)));
}

/** The mask of the word in which `length` bits of a prefix are left. */
function maskWord(length: number): number {
  if (length <= 0) return 0;
  return length >= 32 ? -1 : -1 << (32 - length);
}

/** Both families' prefixes apart: words of length 1 and words of length 4. */
export function isIpv4(address: AddressWords): boolean {
  return address.length === 1;
}
