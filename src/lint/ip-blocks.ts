/** Finds ipBlocks that contain pods, and excepts without effect. */
import {
  addressBits,
  type Cidr,
  formatAddress,
  formatCidr,
  isMistake,
  parseAddress,
  parseCidr,
} from '../cluster/addresses.ts';
import type { Direction, IpBlock, PodRecord, PolicyPort, PolicyRecord } from '../cluster/records.ts';
import { isAmbiguous } from '../cluster/typed-addresses.ts';
import type { Allowances } from './allowances.ts';
import { BlockSet, isInside, lastOf } from './block-set.ts';
import type { Mistake } from './finding.ts';
import { peerList } from './peers.ts';
import { uselessExcepts } from './useless-excepts.ts';

/**
 * Limit on blocks times prefixes, times an eighth of the port ranges if there are more than eight:
 * up to it, excepts are compared with the other blocks of their direction.
 */
const MANY_COMPARISONS = 200_000;
/**
 * Pod ranges of most clusters. Pods without an address in the manifests get theirs from here too.
 */
const USUAL_RANGES: readonly string[] = ['10.244.0.0/16', 'fd00:10:244::/64'];
const EVERYWHERE: readonly IpBlock[] = [
  { cidr: '0.0.0.0/0', except: [] },
  { cidr: '::/0', except: [] },
];

export class IpBlockRules {
  readonly #allowances: Allowances;
  readonly #ranges: readonly Cidr[];
  /** Ranges that the caller gave are certain; the usual ones are an assumption. */
  readonly #rangesAreGiven: boolean;
  /** Pod addresses outside of the ranges, ascending: those are the pods' real ones. */
  readonly #podAddresses: readonly PodAddress[];
  readonly #podsByBlock = new Map<string, PodAddress | undefined>();

  /** @param given CIDR blocks of pod addresses, if known */
  constructor(allowances: Allowances, pods: readonly PodRecord[], given: readonly string[] = []) {
    this.#allowances = allowances;
    this.#rangesAreGiven = given.length > 0;
    this.#ranges = (this.#rangesAreGiven ? given : USUAL_RANGES).flatMap(blockOf);
    this.#podAddresses = pods
      .filter(({ hostNetwork }) => !hostNetwork)
      .flatMap(({ namespace, name, addresses }) =>
        addresses.flatMap(hostBlock).map((cidr) => ({ name: `${namespace}/${name}`, cidr })),
      )
      .filter(({ cidr }) => !this.#ranges.some((range) => isInside(cidr, range)))
      .sort((a, b) => (a.cidr.first < b.cidr.first ? -1 : 1));
  }

  *mistakes(policy: PolicyRecord): Iterable<Mistake> {
    for (const direction of policy.isolates) {
      const blocks = blocksOf(policy, direction);
      for (const { ipBlock, path } of blocks) {
        yield* spelling(ipBlock.cidr, [...path, 'cidr']);
        for (const [at, except] of ipBlock.except.entries()) yield* spelling(except, [...path, 'except', at]);
        yield* this.#overPods(ipBlock, [...path, 'cidr']);
      }
      yield* this.#uselessExcepts(blocks, anyPeer(policy, direction));
    }
  }

  *#overPods(ipBlock: IpBlock, path: Mistake['path']): Iterable<Mistake> {
    const [block] = blockOf(ipBlock.cidr);
    // Whoever allows the whole address space means it.
    if (block === undefined || block.prefix === 0) return;
    const holes = new BlockSet(ipBlock.except.flatMap(blockOf));
    const isAllowed = (part: Cidr) => isInside(part, block) && holes.holderOf(part) === undefined;
    const pod = this.#podIn(ipBlock, block, holes);
    const within = this.#ranges.find((range) => isInside(block, range));
    const around = this.#ranges.find(isAllowed);
    const hint = 'Addresses of pods change; select pods by podSelector and namespaceSelector.';
    const rule = 'ip-block-over-pods';
    if (pod !== undefined) {
      yield { rule, path, message: `${ipBlock.cidr} contains the address of pod ${pod.name}`, hint };
    } else if (within !== undefined) {
      const range = formatCidr(within);
      const where = block.prefix === within.prefix ? 'is' : `is inside ${range},`;
      yield { rule, path, message: `${ipBlock.cidr} ${where} the range of pod addresses`, hint };
    } else if (around !== undefined) {
      const message = `${ipBlock.cidr} contains ${formatCidr(around)}, the range of pod addresses: every pod is allowed`;
      const meant = `To leave pods out, write except: [${formatCidr(around)}].`;
      yield { rule, path, message, hint: meant, ...(this.#rangesAreGiven ? {} : { severity: 'info' as const }) };
    }
  }

  /**
   * Returns a pod whose own address the block allows. Cached: many policies have the same blocks.
   */
  #podIn(ipBlock: IpBlock, block: Cidr, holes: BlockSet): PodAddress | undefined {
    const key = [ipBlock.cidr, ...ipBlock.except].join(' ');
    if (!this.#podsByBlock.has(key)) this.#podsByBlock.set(key, this.#firstPod(block, holes));
    return this.#podsByBlock.get(key);
  }

  /** Skips all pods of an except at once, so it takes at most one step for each except. */
  #firstPod(block: Cidr, holes: BlockSet): PodAddress | undefined {
    const pods = this.#podAddresses;
    const end = countBelow(pods, lastOf(block) + 1n);
    for (let at = countBelow(pods, block.first); at < end; ) {
      const pod = pods[at] as PodAddress;
      // The list contains addresses of both families.
      const hole = pod.cidr.family === block.family ? holes.holderOf(pod.cidr) : pod.cidr;
      if (hole === undefined) return pod;
      at = Math.max(at + 1, countBelow(pods, lastOf(hole) + 1n));
    }
    return undefined;
  }

  *#uselessExcepts(blocks: readonly BlockPlace[], others: readonly BlockRule[]): Iterable<Mistake> {
    const prefixes = blocks.reduce((sum, { ipBlock }) => sum + 1 + ipBlock.except.length, 0);
    const ranges = blocks.reduce((sum, { ports }) => sum + ports.length, 0);
    const isMany = blocks.length * prefixes * Math.max(1, ranges / 8) > MANY_COMPARISONS;
    for (const [index, { ipBlock, ports, path }] of blocks.entries()) {
      const [cidr] = blockOf(ipBlock.cidr);
      if (cidr === undefined || ipBlock.except.length === 0) continue;
      const beside = isMany ? others : [...blocks.slice(0, index), ...blocks.slice(index + 1), ...others];
      const allowed = this.#allowances.prefixesOf(beside);
      const covers = (set: number) => this.#allowances.setCovers(set, ports);
      for (const { at, isNested } of uselessExcepts(cidr, ipBlock.except, allowed, covers)) {
        yield {
          rule: 'except-without-effect',
          path: [...path, 'except', at],
          message: `the except ${ipBlock.except[at]} has no effect${isNested ? ': another except of this block contains it' : ''}`,
          hint: isNested
            ? 'Remove it, or correct what was meant.'
            : 'Another entry allows these addresses; an except only narrows the cidr beside it. Narrow that entry too.',
        };
      }
    }
  }
}

function* spelling(text: string, path: Mistake['path']): Iterable<Mistake> {
  yield* otherReadings(text, path);
  yield* hostBits(text, path);
}

/**
 * Finds blocks such as `10.0.0.010/32` and `::ffff:10.0.0.0/104`: the API server accepts them, and
 * other software reads something else or nothing.
 */
function* otherReadings(text: string, path: Mistake['path']): Iterable<Mistake> {
  const [block] = blockOf(text);
  if (block === undefined) return;
  const rule = 'ambiguous-address';
  const hint = `Write ${formatCidr(block)}.`;
  if (isAmbiguous(text)) {
    const message = `${text} is ${formatCidr(block)} to the API server, which reads numbers with leading zeros as decimal; others read them as octal`;
    yield { rule, path, message, hint };
  } else if (block.family === 'IPv4' && text.includes(':')) {
    const message = `${text} is an IPv4-mapped block: ${formatCidr(block)} to the API server, and to others a block without IPv4 addresses`;
    yield { rule, path, message, hint };
  }
}

/** Finds blocks such as `8.8.8.8/8`: a host's address instead of the network's. */
function* hostBits(text: string, path: Mistake['path']): Iterable<Mistake> {
  const [block] = blockOf(text);
  const host = text.slice(0, text.indexOf('/'));
  const address = parseAddress(host);
  if (block === undefined || address === undefined || address.value === block.first) return;
  const message = `${text} is the block ${formatCidr(block)}: the address bits beyond the prefix are ignored`;
  const alone = `${formatAddress(address)}/${addressBits(block.family)}`;
  const hint = `Did you mean ${alone}, this address alone?`;
  yield { rule: 'host-bits-set', path, message, hint };
}

interface PodAddress {
  readonly name: string;
  readonly cidr: Cidr;
}

/** Returns how many of the ascending addresses are below `value`. */
function countBelow(addresses: readonly PodAddress[], value: bigint): number {
  let low = 0;
  let high = addresses.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((addresses[middle] as PodAddress).cidr.first < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface BlockRule {
  readonly ipBlock: IpBlock;
  readonly ports: readonly PolicyPort[];
}

interface BlockPlace extends BlockRule {
  readonly path: Mistake['path'];
}

function blocksOf(policy: PolicyRecord, direction: Direction): readonly BlockPlace[] {
  return policy[direction].flatMap(({ peers, ports }, rule) =>
    peers.flatMap(({ ipBlock }, index) =>
      ipBlock ? [{ ipBlock, ports, path: ['spec', direction, rule, peerList(direction), index, 'ipBlock'] }] : [],
    ),
  );
}

/** Returns the rules for any peer, as blocks. */
function anyPeer(policy: PolicyRecord, direction: Direction): readonly BlockRule[] {
  return policy[direction].flatMap(({ peers, ports }) =>
    peers.length === 0 ? EVERYWHERE.map((ipBlock) => ({ ipBlock, ports })) : [],
  );
}

function blockOf(text: string): readonly Cidr[] {
  const cidr = parseCidr(text);
  return isMistake(cidr) ? [] : [cidr];
}

function hostBlock(text: string): readonly Cidr[] {
  const address = parseAddress(text);
  return address ? blockOf(`${text}/${address.family === 'IPv4' ? 32 : 128}`) : [];
}
