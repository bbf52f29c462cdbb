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
import { hashWords } from './hash.ts';
import { finish, type Pieces } from './pieces.ts';
import type { PortSets } from './port-set.ts';
import { ALL_PORTS, NO_PORTS, PREFIX4_WORDS, PREFIX6_WORDS } from './table-layout.ts';

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

/** Prefixes that are entered, and port ranges that are united, within some tenths of a millisecond. */
const NODES_OF_PIECE = 500;
export const RANGES_OF_PIECE = 2000;

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
  finish(prefixPortsInPieces(blocks, portSets, found));
  return found;
}

/** The same in pieces, appended to `found`. */
export function* prefixPortsInPieces(blocks: readonly Block[], portSets: PortSets, found: PrefixPorts[]): Pieces {
  const descent = new Descent((ports) => portSets.rangesOf(ports));
  const around: number[] = [];
  let ranges = 0;
  for (const node of sortedNodes(blocks)) {
    const depth = descent.leaveUpTo(node);
    const outside = around[depth - 1] ?? NO_PORTS;
    const holed = descent.enter(node);
    // Ports can only be taken away by uniting anew what is left.
    const ports = portSets.union(holed ? descent.inForce() : [outside, ...descent.begun(node)]);
    around[depth] = ports;
    if (ports !== outside) found.push({ ...node.prefix, ports });
    ranges += 1 + (holed ? descent.ranges : 0);
    if (ranges < RANGES_OF_PIECE) continue;
    ranges = 0;
    yield;
  }
}

/**
 * How many words of the table the blocks ask for at most, without writing any: those of each prefix, and the port ranges of each different
 * combination of blocks in force. Counts no further than `most`.
 * @param rangesOf how many ranges and names a port set has
 */
export function* wordsOfBlocks(
  blocks: readonly Block[],
  most: number,
  rangesOf: (ports: number) => number,
): Generator<undefined, number> {
  const bound = mostWordsOf(blocks, rangesOf);
  if (bound <= most) return bound;
  const descent = new Descent(rangesOf);
  const seen = new Set<number>();
  let words = 0;
  let nodes = 0;
  for (const node of sortedNodes(blocks)) {
    if (++nodes % NODES_OF_PIECE === 0) yield;
    descent.leaveUpTo(node);
    descent.enter(node);
    words += isIpv4(node.prefix.address) ? PREFIX4_WORDS : PREFIX6_WORDS;
    // One port set alone is there already.
    if (!descent.isMixed || seen.has(descent.combination)) continue;
    seen.add(descent.combination);
    words += descent.ranges;
    if (words > most) break;
  }
  return words;
}

/** As if every port were in force at every prefix: most blocks ask for little, and this is told without looking for what holds what. */
function mostWordsOf(blocks: readonly Block[], rangesOf: (ports: number) => number): number {
  let prefixes = 0;
  const distinct = new Set<number>();
  for (const { except, ports } of blocks) {
    prefixes += 1 + except.length;
    distinct.add(ports);
  }
  let ranges = 0;
  for (const ports of distinct) ranges += rangesOf(ports);
  return prefixes * (ranges + PREFIX6_WORDS);
}

/** The way from the shortest prefix down to the present one, and the blocks in force there. */
class Descent {
  /** Their port ranges, as if none overlapped. */
  ranges = 0;
  private readonly rangesOf: (ports: number) => number;
  private readonly path: Node[] = [];
  private readonly key = [0];
  /** Of the port sets in force, all hashes together. */
  private high = 0;
  private low = 0;
  /** Blocks in force, by port set: ten thousand blocks usually have a handful of them. */
  private readonly counts = new Map<number, number>();

  constructor(rangesOf: (ports: number) => number) {
    this.rangesOf = rangesOf;
  }

  /** Whether what is in force is a port set of its own: the blocks have several, and none of them allows all ports. */
  get isMixed(): boolean {
    return this.counts.size > 1 && !this.counts.has(ALL_PORTS);
  }

  /** Differs where other port sets are in force: 53 bits. */
  get combination(): number {
    return (this.high >>> 11) * 2 ** 32 + (this.low >>> 0);
  }

  /** The port sets in force. */
  inForce(): Iterable<number> {
    return this.counts.keys();
  }

  /** Leaves the prefixes that do not hold the node's; gives back how many do. */
  leaveUpTo({ prefix }: Node): number {
    for (let inner = this.path.at(-1); inner !== undefined; inner = this.path.at(-1)) {
      if (holds(inner.prefix, prefix)) break;
      this.path.pop();
      this.leave(inner);
    }
    return this.path.length;
  }

  /** Gives back whether a port set that was in force around the node is not in force at it. */
  enter(node: Node): boolean {
    let holed = false;
    for (const block of node.excludes) {
      if (block.excluded++ === 0 && block.begun) holed = this.count(block, -1) === 0 || holed;
    }
    for (const block of node.begins) {
      block.begun = true;
      if (block.excluded === 0) this.count(block, 1);
    }
    this.path.push(node);
    return holed;
  }

  /** The port sets of the blocks that begin at the node, which was entered last, and are in force. */
  begun({ begins }: Node): number[] {
    return begins.filter(({ excluded }) => excluded === 0).map(({ ports }) => ports);
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
    const before = this.counts.get(ports) ?? 0;
    const count = before + change;
    if (count > 0) this.counts.set(ports, count);
    else this.counts.delete(ports);
    if (before === 0 || count === 0) {
      this.ranges += change * this.rangesOf(ports);
      this.key[0] = ports;
      this.high ^= hashWords(SEEDS[0], this.key, 0, 1);
      this.low ^= hashWords(SEEDS[1], this.key, 0, 1);
    }
    return count;
  }
}

/** Random, so that nobody can choose port sets whose combinations look alike. */
const SEEDS = [(Math.random() * 2 ** 32) | 0, (Math.random() * 2 ** 32) | 0] as const;

/** One node for each prefix, shorter before longer and what it holds right after it. */
function sortedNodes(blocks: readonly Block[]): Node[] {
  // Sorted first, and what is equal joined then: a key for each prefix would cost more.
  const ends: { readonly prefix: Prefix; readonly block: OpenBlock; readonly begins: boolean }[] = [];
  for (const { cidr, except, ports } of blocks) {
    const block = { ports, begun: false, excluded: 0 };
    ends.push({ prefix: cidr, block, begins: true });
    for (const hole of except) ends.push({ prefix: hole, block, begins: false });
  }
  ends.sort((a, b) => compare(a.prefix, b.prefix));
  const nodes: Node[] = [];
  for (const { prefix, block, begins } of ends) {
    let node = nodes.at(-1);
    if (node === undefined || compare(node.prefix, prefix) !== 0) {
      node = { prefix, begins: [], excludes: [] };
      nodes.push(node);
    }
    (begins ? node.begins : node.excludes).push(block);
  }
  return nodes;
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
