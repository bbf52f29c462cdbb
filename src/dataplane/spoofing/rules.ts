/**
 * The kernel rules against forged source addresses: an nftables table of their own, whichever kind
 * of steering there is.
 *
 *     prerouting, priority raw
 *       from lo                                          -> go on    the node to itself
 *       source in the pod ranges                         -> pods
 *       source is the node's own address                 -> spoofed
 *     pods
 *       the route back to the source does not leave by
 *       the interface by which the packet came           -> spoofed
 *       the rest                                         -> go on
 *     spoofed
 *       neighbour discovery, multicast, broadcast,
 *       no source or one of the link                     -> go on    never forwarded
 *       the rest                                         -> counted by interface, dropped
 *
 * The kernel's route decides (`fib`, nft(8)), not a list of pods, so no packet waits until an agent
 * has heard of its pod. It is the test of net.ipv4.conf.*.rp_filter=1, for these sources alone and
 * for both families. One of several routes with the same metric is enough.
 *
 * Multicast and broadcast packets of the node itself come back to it by the interface that they
 * left by (dev_loopback_xmit in the kernel's net/core/dev.c), with the node's address as their
 * source. Answers to duplicate address detection have the address that is in doubt (RFC 4862,
 * 5.4.4).
 */
import {
  chainLines,
  type Hook,
  hasSameHook,
  hasSameRules,
  type ListedChain,
  type NftChain,
  type PresentChain,
  presentChains,
  rule,
} from '../steering/nftables-rules.ts';
import { type PodRanges, podRanges } from './pod-ranges.ts';

export const TABLE = 'podfence-spoofing';
/** Counts by interface. An entry goes when its interface has been quiet for an hour. */
const INTERFACES = 'interfaces';
const INTERFACES_SPEC = 'type ifname; size 256; flags dynamic,timeout; timeout 1h;';
const RANGES = { ipv4: 'pods4', ipv6: 'pods6' } as const;
const RANGE_TYPES = { ipv4: 'ipv4_addr', ipv6: 'ipv6_addr' } as const;
const FAMILIES = ['ipv4', 'ipv6'] as const;

/** Raw is -300: before connection tracking, so that a forged packet leaves no connection. */
const HOOK: Hook = { hook: 'prerouting', priority: -300 };

/** Each after those that it jumps to. An honest packet costs one look-up of a route. */
const CHAINS: readonly NftChain[] = [
  {
    name: 'spoofed',
    hook: undefined,
    rules: [
      rule('ip saddr 0.0.0.0 accept', 'no address yet'),
      rule('ip6 saddr { ::, fe80::/10 } accept', 'no address yet, or of the link'),
      rule('ip daddr 224.0.0.0/4 accept', 'multicast'),
      rule('ip6 daddr ff00::/8 accept', 'multicast'),
      rule('fib daddr type broadcast accept', 'broadcast'),
      rule('ip6 hoplimit 255 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept', 'neighbours'),
      // Its own rule: where the set is full, the statement fails and ends its rule.
      rule(`update @${INTERFACES} { iifname counter }`, 'counted by interface'),
      rule('counter drop', 'forged source'),
    ],
  },
  {
    name: 'pods',
    hook: undefined,
    rules: [rule('fib saddr . iif oif 0 jump spoofed', 'not the route back'), rule('accept', 'the route back')],
  },
  {
    name: 'prerouting',
    hook: HOOK,
    rules: [
      rule('iifname "lo" accept', 'the node to itself'),
      rule(`ip saddr @${RANGES.ipv4} jump pods`, 'from a pod'),
      rule(`ip6 saddr @${RANGES.ipv6} jump pods`, 'from a pod'),
      rule('fib saddr type local jump spoofed', "the node's own address"),
    ],
  },
];

/** The table in the kernel. */
export interface PresentTable {
  readonly chains: ReadonlyMap<string, PresentChain>;
  readonly ranges: PodRanges;
  /** Whether the table has all sets, of the right types. */
  readonly hasSets: boolean;
  /** Dropped packets by interface, since the interface's entry is there. */
  readonly counts: ReadonlyMap<string, number>;
  /** Dropped packets in all, since the rule is there. */
  readonly dropped: number;
}

/**
 * Returns what is not as podfence would write it, in words; empty if all is in place.
 * @param ranges undefined if they are unknown: any will do
 */
export function damageOf(present: PresentTable | undefined, ranges: PodRanges | undefined): readonly string[] {
  const where = `nftables, table inet ${TABLE}`;
  if (present === undefined) return [`${where} is gone`];
  const damage = CHAINS.filter((chain) => !isInPlace(chain, present)).map(
    ({ name }) => `${where}: chain ${name} was changed`,
  );
  const isWhole = present.hasSets && (ranges === undefined || rangeLines(present.ranges, ranges).length === 0);
  return isWhole ? damage : [...damage, `${where}: its sets were changed`];
}

/**
 * Returns the input of `nft -f -` that turns `present` into the table with these ranges, in one
 * transaction, or '' if nothing differs. Chains that are right stay: deleting a base chain drops
 * the packets that wait in queues (nf_queue_nf_hook_drop).
 * @param ranges undefined if they are unknown: those in the kernel stay
 */
export function renderTransaction(present: PresentTable | undefined, ranges: PodRanges | undefined): string {
  const before = present !== undefined && isAlterable(present) ? present : undefined;
  const lines: string[] = [];
  if (before === undefined) {
    lines.push(`add table inet ${TABLE}`);
    if (present !== undefined) lines.push(`delete table inet ${TABLE}`, `add table inet ${TABLE}`);
    lines.push(...setLines(TABLE));
  }
  const wanted = ranges ?? present?.ranges ?? { ipv4: [], ipv6: [] };
  lines.push(...rangeLines(before?.ranges, wanted));
  for (const chain of CHAINS) lines.push(...chainLines(TABLE, chain, before?.chains.get(chain.name)));
  return lines.map((line) => `${line}\n`).join('');
}

/** Returns the same sets and rules, hooked nowhere, in another table: to try them. */
export function renderTrial(table: string): readonly string[] {
  return [
    `add table inet ${table}`,
    ...setLines(table),
    ...CHAINS.flatMap((chain) => chainLines(table, { ...chain, hook: undefined })),
  ];
}

function setLines(table: string): string[] {
  return [
    `add set inet ${table} ${INTERFACES} { ${INTERFACES_SPEC} }`,
    ...FAMILIES.map(
      (family) => `add set inet ${table} ${RANGES[family]} { type ${RANGE_TYPES[family]}; flags interval; }`,
    ),
  ];
}

/** A set that differs is emptied and filled in the one transaction, so no packet meets it empty. */
function rangeLines(before: PodRanges | undefined, wanted: PodRanges): string[] {
  return FAMILIES.flatMap((family) => {
    const [there, want] = [before?.[family] ?? [], wanted[family]];
    if (there.join() === want.join()) return [];
    const set = `inet ${TABLE} ${RANGES[family]}`;
    const fill = want.length === 0 ? [] : [`add element ${set} { ${want.map(nftRange).join(', ')} }`];
    return there.length === 0 ? fill : [`flush set ${set}`, ...fill];
  });
}

/** nft takes no range of one address. */
function nftRange(range: string): string {
  const [first, last] = range.split('-');
  return first === last ? `${first}` : range;
}

function isInPlace(chain: NftChain, { chains }: PresentTable): boolean {
  const there = chains.get(chain.name);
  return there !== undefined && hasSameRules(chain, there) && hasSameHook(chain, there);
}

/** Whether the table can be changed in place: a chain's hook and a set's type cannot. */
function isAlterable({ chains, hasSets }: PresentTable): boolean {
  return (
    hasSets &&
    CHAINS.every((chain) => {
      const there = chains.get(chain.name);
      return there === undefined || hasSameHook(chain, there);
    })
  );
}

/** The parts of libnftables-json(5) that are read here. */
interface Listed extends ListedChain {
  readonly rule?: NonNullable<ListedChain['rule']> & { readonly expr?: readonly Expression[] };
  readonly set?: { readonly name: string; readonly type: unknown; readonly elem?: readonly Element[] };
}

interface Expression {
  readonly counter?: { readonly packets: number };
}

type Element =
  | string
  | { readonly prefix: { readonly addr: string; readonly len: number } }
  | { readonly range: readonly [string, string] }
  | { readonly elem: { readonly val: string; readonly counter?: { readonly packets: number } } };

/** Parses the output of `nft -j list table`. */
export function parseTable(json: string): PresentTable {
  const { nftables } = JSON.parse(json) as { readonly nftables: readonly Listed[] };
  const sets = new Map<string, NonNullable<Listed['set']>>();
  let dropped = 0;
  for (const { rule: listed, set } of nftables) {
    if (set) sets.set(set.name, set);
    for (const { counter } of listed?.expr ?? []) dropped += counter?.packets ?? 0;
  }
  const types = { [INTERFACES]: 'ifname', [RANGES.ipv4]: RANGE_TYPES.ipv4, [RANGES.ipv6]: RANGE_TYPES.ipv6 };
  return {
    chains: presentChains(nftables),
    hasSets: Object.entries(types).every(([name, type]) => sets.get(name)?.type === type),
    ranges: { ipv4: rangesOf(sets.get(RANGES.ipv4)), ipv6: rangesOf(sets.get(RANGES.ipv6)) },
    counts: new Map((sets.get(INTERFACES)?.elem ?? []).flatMap(countOf)),
    dropped,
  };
}

function countOf(element: Element): readonly [string, number][] {
  if (typeof element === 'string' || !('elem' in element)) return [];
  const { val, counter } = element.elem;
  return [[val, counter?.packets ?? 0]];
}

function rangesOf(set: Listed['set']): readonly string[] {
  return (set?.elem ?? []).map((element) => {
    if (typeof element === 'string') return `${element}-${element}`;
    if ('range' in element) return element.range.join('-');
    if (!('prefix' in element)) return '';
    const { ipv4, ipv6 } = podRanges([`${element.prefix.addr}/${element.prefix.len}`]);
    return [...ipv4, ...ipv6].join();
  });
}
