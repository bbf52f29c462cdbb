/**
 * Finds excepts of an ipBlock without which it would allow the same. The excepts, and the blocks of
 * other entries around and inside them, form a tree. An except has an effect if one of its
 * addresses is in no other except and is not allowed by other entries. The search below an except
 * ends at the first such address, and at most 128 nested blocks contain an address, so the whole
 * costs little more than sorting.
 */
import { type Cidr, isMistake, parseCidr } from '../cluster/addresses.ts';
import { isIpv4, type PrefixPorts } from '../policy/cidr.ts';
import { NO_PORTS } from '../policy/table-layout.ts';
import { byAddress, isInside, lastOf } from './block-set.ts';

export interface UselessExcept {
  /** Its index in the list. */
  readonly at: number;
  /** Other excepts of the block exclude the same addresses; otherwise other entries allow them. */
  readonly isNested: boolean;
}

interface Node {
  readonly block: Cidr;
  parent: Node | undefined;
  readonly children: Node[];
  /** The number of addresses in children. */
  inChildren: bigint;
  /** The number of excepts that equal this block, without those reported as useless. */
  excepts: number;
  /** The port set that other entries allow here; undefined: the same as around it. */
  ports: number | undefined;
}

/**
 * Yields useless excepts from the last to the first: of two equal ones, the later is superfluous.
 * @param others what other entries allow, as prefixes
 * @param covers whether a port set of other entries includes all ports of the block's rule
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

/** Puts every node under the smallest one that contains it. */
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

/** Whether some address of the node is in no except and is not allowed by other entries. */
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

/** Returns what the longest prefix around the block allows. */
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
