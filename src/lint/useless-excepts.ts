/**
 * Excepts of an ipBlock without which it would allow the same. They and the blocks around and inside them make a tree; an
 * except has an effect where some address of it is in no other except and is not allowed by other entries. A look at one
 * ends with the first such address, and an address is in at most 128 nested blocks, so that the whole costs little more than
 * sorting.
 */
import { type Cidr, isMistake, parseCidr } from '../cluster/addresses.ts';
import { isIpv4, type PrefixPorts } from '../policy/cidr.ts';
import { NO_PORTS } from '../policy/table-layout.ts';
import { byAddress, isInside, lastOf } from './block-set.ts';

export interface UselessExcept {
  /** Its place in the list. */
  readonly at: number;
  /** Another except of the block, or several together, take away the same; else other entries allow it. */
  readonly isNested: boolean;
}

interface Node {
  readonly block: Cidr;
  parent: Node | undefined;
  readonly children: Node[];
  /** How many addresses are in children. */
  inChildren: bigint;
  /** How many excepts it is that are kept. */
  excepts: number;
  /** What other entries allow here; undefined: what they allow around it. */
  ports: number | undefined;
}

/**
 * From the last to the first: of two that say the same the later is the one too many.
 * @param others what other entries allow, as prefixes
 * @param covers whether this port set of others has all ports of the block's rule
 */
export function* uselessExcepts(
  cidr: Cidr,
  excepts: readonly string[],
  others: readonly PrefixPorts[],
  covers: (ports: number) => boolean,
): Iterable<UselessExcept> {
  const nodes = new Map<string, Node>();
  const root = nodeAt(nodes, cidr);
  root.ports = portsAround(cidr, others);
  for (const { block, ports } of others.map(blockPorts)) {
    if (block.prefix > cidr.prefix && isInside(block, cidr)) nodeAt(nodes, block).ports = ports;
  }
  const places = excepts.map((text) => {
    const block = parseCidr(text);
    if (isMistake(block) || !isInside(block, cidr)) return undefined;
    const node = nodeAt(nodes, block);
    node.excepts++;
    return node;
  });
  link([...nodes.values()]);
  for (let at = places.length - 1; at >= 0; at--) {
    const node = places[at];
    if (node === undefined) continue;
    node.excepts--;
    const isNested = isHeld(node) || !hasGap(node, NO_PORTS, () => false);
    if (isNested || !hasGap(node, portsAt(node.parent), covers)) yield { at, isNested };
    else node.excepts++;
  }
}

function nodeAt(nodes: Map<string, Node>, block: Cidr): Node {
  const key = `${block.first}/${block.prefix}`;
  let node = nodes.get(key);
  if (node === undefined) {
    node = { block, parent: undefined, children: [], inChildren: 0n, excepts: 0, ports: undefined };
    nodes.set(key, node);
  }
  return node;
}

/** Puts every node under the smallest one that holds it. */
function link(nodes: Node[]): void {
  const around: Node[] = [];
  for (const node of nodes.sort((a, b) => byAddress(a.block, b.block))) {
    while (around.length > 0 && !isInside(node.block, (around.at(-1) as Node).block)) around.pop();
    const parent = around.at(-1);
    if (parent !== undefined) {
      node.parent = parent;
      parent.children.push(node);
      parent.inChildren += sizeOf(node);
    }
    around.push(node);
  }
}

function isHeld(node: Node): boolean {
  for (let at: Node | undefined = node; at !== undefined; at = at.parent) if (at.excepts > 0) return true;
  return false;
}

/** Whether an address of the node is in no except, and others do not allow it either. */
function hasGap(node: Node, portsAround: number, covers: (ports: number) => boolean): boolean {
  if (node.excepts > 0) return false;
  const ports = node.ports ?? portsAround;
  if (sizeOf(node) > node.inChildren && !covers(ports)) return true;
  return node.children.some((child) => hasGap(child, ports, covers));
}

function portsAt(node: Node | undefined): number {
  for (let at = node; at !== undefined; at = at.parent) if (at.ports !== undefined) return at.ports;
  return NO_PORTS;
}

function sizeOf({ block }: Node): bigint {
  return lastOf(block) - block.first + 1n;
}

/** What the longest of the prefixes that hold the block allows. */
function portsAround(block: Cidr, others: readonly PrefixPorts[]): number {
  let longest: { readonly block: Cidr; readonly ports: number } | undefined;
  for (const other of others.map(blockPorts)) {
    if (isInside(block, other.block) && other.block.prefix >= (longest?.block.prefix ?? 0)) longest = other;
  }
  return longest?.ports ?? NO_PORTS;
}

function blockPorts({ address, length, ports }: PrefixPorts): { readonly block: Cidr; readonly ports: number } {
  const first = address.reduce((value, word) => (value << 32n) | BigInt(word >>> 0), 0n);
  return { block: { family: isIpv4(address) ? 'IPv4' : 'IPv6', first, prefix: length }, ports };
}
