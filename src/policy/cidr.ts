/**
 * Compiles ipBlocks for longest-prefix match. The blocks of a class and direction can nest and
 * overlap, each with holes of its own. Every `cidr` and every `except` becomes a prefix whose value
 * is what all blocks together allow from there on down:
 *
 *     10.0.0.0/8 tcp/80, except 10.1.0.0/16          10.0.0.0/8     {80, 443}
 *     10.0.0.0/8 tcp/443                       =>    10.1.0.0/16    {443}
 *     10.1.2.0/24 tcp/53                             10.1.2.0/24    {53, 443}
 *
 * The longest prefix that contains an address then decides alone, and exactly.
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

/** A prefix, and the port set for the addresses that no longer prefix contains. */
export interface PrefixPorts extends Prefix {
  readonly ports: number;
}

/** Prefixes to enter, and port ranges to unite, within some tenths of a millisecond. */
const NODES_OF_PIECE = 500;
export const RANGES_OF_PIECE = 2000;

/** A block on the way down the prefixes. */
interface OpenBlock {
  readonly ports: number;
  /** Whether the current prefix is in its cidr, and in how many of its excepts. */
  begun: boolean;
  excluded: number;
}

interface Node {
  readonly prefix: Prefix;
  /** Blocks whose cidr is this prefix, and blocks with this prefix as an except. */
  readonly begins: OpenBlock[];
  readonly excludes: OpenBlock[];
}

/** Returns the prefixes of all blocks, without those that say the same as the next shorter one. */
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
    // Ports can be taken away only by uniting what is left.
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
 * Returns how many words of the table the blocks need at most, without writing any: those of each
 * prefix, and the port ranges of each different combination of blocks in force. Stops counting
 * above `most`.
 * @param rangesOf returns how many ranges and names a port set has
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
    // A single port set exists already.
    if (!descent.isMixed || seen.has(descent.combination)) continue;
    seen.add(descent.combination);
    words += descent.ranges;
    if (words > most) break;
  }
  return words;
}

/**
 * Returns the words that would be needed if every port were in force at every prefix. This bound is
 * enough for most blocks, and needs no search for what contains what.
 */
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

/** The path from the shortest prefix down to the current one, and the blocks in force there. */
class Descent {
  /** Port ranges in force, counted as if none overlapped. */
  ranges = 0;
  private readonly rangesOf: (ports: number) => number;
  private readonly path: Node[] = [];
  private readonly key = [0];
  /** The hashes of the port sets in force, XORed, in two halves. */
  private high = 0;
  private low = 0;
  /** Number of blocks in force, by port set: ten thousand blocks usually have a handful of sets. */
  private readonly counts = new Map<number, number>();

  constructor(rangesOf: (ports: number) => number) {
    this.rangesOf = rangesOf;
  }

  /**
   * Whether the union of what is in force is a new port set: there are several, and none allows all
   * ports.
   */
  get isMixed(): boolean {
    return this.counts.size > 1 && !this.counts.has(ALL_PORTS);
  }

  /** Identifies the combination of port sets in force, by 53 bits. */
  get combination(): number {
    return (this.high >>> 11) * 2 ** 32 + (this.low >>> 0);
  }

  /** The port sets in force. */
  inForce(): Iterable<number> {
    return this.counts.keys();
  }

  /** Leaves the prefixes that do not contain the node's; returns how many do. */
  leaveUpTo({ prefix }: Node): number {
    for (let inner = this.path.at(-1); inner !== undefined; inner = this.path.at(-1)) {
      if (holds(inner.prefix, prefix)) break;
      this.path.pop();
      this.leave(inner);
    }
    return this.path.length;
  }

  /** Enters the node. Returns whether a port set in force around the node is not in force at it. */
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

  /**
   * Returns the port sets in force of blocks that begin at the node, which must be the last
   * entered.
   */
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

  /** Changes the number of blocks in force with this one's port set by `change`, and returns it. */
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

/** Random, so that nobody can choose port sets whose combinations collide. */
const SEEDS = [(Math.random() * 2 ** 32) | 0, (Math.random() * 2 ** 32) | 0] as const;

/** Returns one node for each prefix, sorted so that the prefixes inside one follow it directly. */
function sortedNodes(blocks: readonly Block[]): Node[] {
  // Sorts, then joins equals: a key for each prefix would cost more.
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

/** Returns the mask of a word in which `length` bits of a prefix are left. */
function maskWord(length: number): number {
  if (length <= 0) return 0;
  return length >= 32 ? -1 : -1 << (32 - length);
}

/** Tells the families apart: an IPv4 address has one word, an IPv6 address four. */
export function isIpv4(address: AddressWords): boolean {
  return address.length === 1;
}
