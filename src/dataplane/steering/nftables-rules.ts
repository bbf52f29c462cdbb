/**
 * The steering state as one nftables table, and the transaction that brings it about. See nft(8).
 *
 * nft prints rules back in words that differ between versions, so that a rule cannot be compared as text. Each carries a comment instead:
 * what it is for, and a fingerprint of the rule as we wrote it.
 */
import { createHash } from 'node:crypto';
import { COPY_LENGTH, difference, hex, type MarkBits, type SteeringState } from './state.ts';

export const TABLE = 'podfence';
export const SETS = { steered4: 'ipv4_addr', steered6: 'ipv6_addr' } as const;
export type SetName = keyof typeof SETS;

/** Where a base chain is hooked. Priorities by number: their names (mangle -150, filter 0) are younger than the syntax. */
export interface Hook {
  readonly hook: string;
  readonly priority: number;
}

export interface NftChain {
  readonly name: string;
  /** Undefined: reached by a jump only. */
  readonly hook: Hook | undefined;
  /** Rules with their comments. */
  readonly rules: readonly NftRule[];
}

export interface NftRule {
  readonly text: string;
  readonly comment: string;
}

/** The table as it is in place. */
export interface PresentTable {
  readonly chains: ReadonlyMap<string, PresentChain>;
  /** By name; undefined for one that is not as we make them. */
  readonly sets: ReadonlyMap<string, ReadonlySet<string> | undefined>;
}

export interface PresentChain {
  readonly hook: Hook | undefined;
  /** The comment of each rule, '' where it has none. */
  readonly comments: readonly string[];
}

/**
 * The chains that `state` needs, each after those that it jumps to. See state.ts for what each rule means.
 * @param beforeRouting whether first packets of translated UDP flows are judged in prerouting; not of copies
 */
export function renderNftChains(state: SteeringState, beforeRouting = false): NftChain[] {
  const { mark, deny, copiesTo, offload } = state;
  const forwardHook = { hook: 'forward', priority: -150 };
  if (copiesTo !== undefined) return [{ name: 'forward', hook: forwardHook, rules: copy(copiesTo, offload) }];
  const chains: NftChain[] = [];
  if (deny === 'reject') {
    // The mark is cleared first, for the answer inherits it where net.ipv4.fwmark_reflect is on, and postrouting would drop it.
    chains.push({
      name: 'answer',
      hook: undefined,
      rules: [
        rule(clear(mark.mask), 'our bits end here'),
        rule('meta l4proto tcp reject with tcp reset', 'answer TCP'),
        rule('reject with icmpx admin-prohibited', 'answer others'),
      ],
    });
    // Accepted by another chain of its hook or not, a packet passes through this one: nft(8), "VERDICT STATEMENTS".
    chains.push({
      name: 'denied',
      hook: { hook: 'forward', priority: -1 },
      rules: [rule(`${has(mark.reject)} jump answer`, 'denied by a worker')],
    });
  }
  chains.push({ name: 'postrouting', hook: { hook: 'postrouting', priority: -150 }, rules: postrouting(state) });
  if (beforeRouting) {
    chains.push(
      { name: 'first-packet', hook: undefined, rules: firstPacket(state) },
      // dstnat is -100. What a worker accepts goes on at the next chain.
      { name: 'prerouting', hook: { hook: 'prerouting', priority: -95 }, rules: prerouting() },
      { name: 'prerouting-judged', hook: { hook: 'prerouting', priority: -94 }, rules: preroutingJudged(state) },
    );
  }
  chains.push({ name: 'forward', hook: forwardHook, rules: forward(state, beforeRouting) });
  return chains;
}

/** Packets of UDP flows that were translated and have no answer yet. */
const FIRST_PACKETS = 'meta l4proto udp ct state new ct status dnat';

function prerouting(): NftRule[] {
  return [rule(`${FIRST_PACKETS} jump first-packet`, 'judged before routing')];
}

function firstPacket(state: SteeringState): NftRule[] {
  const { mark, offload } = state;
  return [
    rule(clear(mark.judged), 'nobody else says that a packet was judged'),
    // What the node itself receives is not judged. Of IPv4 everything is unicast that no table names.
    rule('fib daddr type != unicast accept', 'not to be forwarded'),
    ...(offload ? [rule(acceptJudged(mark), 'judged flows go on')] : []),
    ...ofSteered(queueing(state)),
  ];
}

function preroutingJudged({ mark }: SteeringState): NftRule[] {
  const allowed = `${FIRST_PACKETS} ${has(mark.judged)}`;
  return [rule(`${allowed} ${saveJudged(mark)} ${clear(mark.judged)}`, 'allowed: the flow is judged')];
}

function forward(state: SteeringState, beforeRouting: boolean): NftRule[] {
  const { mark, offload, deny } = state;
  const judged = acceptJudged(mark);
  const rules = [
    rule(clear(mark.judged), 'nobody else says that a packet was judged'),
    offload
      ? rule(judged, 'judged flows go on')
      : rule(`meta l4proto { icmp, ipv6-icmp } ct state related ${judged}`, 'errors of judged flows go on'),
  ];
  if (beforeRouting && !offload) rules.push(rule(`${FIRST_PACKETS} ${judged}`, 'judged before routing'));
  if (beforeRouting && deny === 'reject')
    rules.push(rule(`${FIRST_PACKETS} ${has(mark.reject)} accept`, 'denied before routing'));
  return [...rules, ...ofSteered(queueing(state))];
}

function queueing({ queues, fail }: SteeringState): string {
  // Without nft's flag fanout, which means one queue a CPU (NFT_QUEUE_FLAG_CPU_FANOUT, "use current CPU (no hashing)", in the kernel's
  // linux/netfilter/nf_tables.h): a range alone hashes addresses and protocol, the same for both directions of a flow.
  const bypass = fail === 'open' ? 'flags bypass ' : '';
  const numbers = queues.count === 1 ? `${queues.first}` : `${queues.first}-${queues.first + queues.count - 1}`;
  return `queue ${bypass}to ${numbers}`;
}

/**
 * A threshold of 1: the kernel would otherwise gather packets for up to a second. The rule that changes nothing makes the kernel track connections, so that an
 * agent that enforces later knows those that were allowed.
 */
function copy(group: number, offload: boolean): NftRule[] {
  const rules = offload
    ? [
        rule('ct state established return', 'what the kernel carries on'),
        rule('meta l4proto { icmp, ipv6-icmp } ct state related return', 'and errors of it'),
      ]
    : [rule('ct state established continue', 'connections are tracked')];
  return [...rules, ...ofSteered(`log group ${group} snaplen ${COPY_LENGTH} queue-threshold 1 return`)];
}

/** What becomes of a packet from or to a steered address; it must end the chain. */
function ofSteered(statement: string): NftRule[] {
  return [
    rule(`ip saddr @steered4 ${statement}`, 'steered source'),
    rule(`ip daddr @steered4 ${statement}`, 'steered destination'),
    rule(`ip6 saddr @steered6 ${statement}`, 'steered source'),
    rule(`ip6 daddr @steered6 ${statement}`, 'steered destination'),
  ];
}

function postrouting({ mark, deny }: SteeringState): NftRule[] {
  const rules = [rule(`meta mark & ${hex(mark.mask)} == 0 accept`, 'not ours')];
  if (deny === 'reject') rules.push(rule(`${has(mark.reject)} drop`, 'denied, and not rejected on the way'));
  rules.push(rule(`${has(mark.judged)} ${saveJudged(mark)}`, 'allowed: the flow is judged'));
  rules.push(rule(clear(mark.mask), 'our bits end here'));
  return rules;
}

function acceptJudged({ judged }: MarkBits): string {
  return `ct mark & ${hex(judged)} == ${hex(judged)} accept`;
}

function saveJudged({ judged }: MarkBits): string {
  return `ct mark set ct mark | ${hex(judged)}`;
}

function has(bit: number): string {
  return `meta mark & ${hex(bit)} == ${hex(bit)}`;
}

function clear(bits: number): string {
  return `meta mark set meta mark & ${hex(~bits)}`;
}

function rule(text: string, purpose: string): NftRule {
  const fingerprint = createHash('sha256').update(text).digest('hex').slice(0, 8);
  return { text, comment: `${purpose} [${fingerprint}]` };
}

/**
 * The input of `nft -f -`, one transaction, that turns `present` into the table with `chains` and `sets`, or '' if it is so already. Chains
 * that are in place as wanted are left alone, with the packets that wait in queues for their verdict: those go when a base chain goes.
 */
export function renderTransaction(
  present: PresentTable | undefined,
  chains: readonly NftChain[],
  sets: Readonly<Record<SetName, ReadonlySet<string>>>,
): string {
  const before = present && isAlterable(present, chains) ? present : undefined;
  const lines: string[] = [];
  if (!before) {
    lines.push(`add table inet ${TABLE}`);
    if (present) lines.push(`delete table inet ${TABLE}`, `add table inet ${TABLE}`);
  }
  for (const [name, type] of Object.entries(SETS) as [SetName, string][]) {
    if (!before?.sets.has(name)) lines.push(`add set inet ${TABLE} ${name} { type ${type}; }`);
    lines.push(...elementLines(name, before?.sets.get(name) ?? new Set(), sets[name]));
  }
  for (const chain of chains) lines.push(...chainLines(TABLE, chain, before?.chains.get(chain.name)));
  const obsolete = [...(before?.chains.keys() ?? [])].filter((name) => !chains.some((chain) => chain.name === name));
  lines.push(...obsolete.map((name) => `flush chain inet ${TABLE} ${name}`));
  lines.push(...obsolete.map((name) => `delete chain inet ${TABLE} ${name}`));
  return lines.map((line) => `${line}\n`).join('');
}

/** The same without a look at what is there: each set and chain is made where it is gone, emptied, and filled, which packets see as one step. Refused where a chain is hooked elsewhere. */
export function renderRestoration(
  chains: readonly NftChain[],
  sets: Readonly<Record<SetName, ReadonlySet<string>>>,
): string {
  const lines = [`add table inet ${TABLE}`];
  for (const [name, type] of Object.entries(SETS) as [SetName, string][]) {
    lines.push(`add set inet ${TABLE} ${name} { type ${type}; }`, `flush set inet ${TABLE} ${name}`);
    lines.push(...elementLines(name, new Set(), sets[name]));
  }
  for (const chain of chains) {
    const [add = '', ...rules] = chainLines(TABLE, chain);
    lines.push(add, `flush chain inet ${TABLE} ${chain.name}`, ...rules);
  }
  return lines.join('\n');
}

/** The lines that make a set with elements `present` one with `wanted`. */
export function elementLines(name: SetName, present: ReadonlySet<string>, wanted: ReadonlySet<string>): string[] {
  const { add, remove } = difference(present, wanted);
  const line = (verb: string, addresses: string[]) =>
    addresses.length === 0 ? [] : [`${verb} element inet ${TABLE} ${name} { ${addresses.join(', ')} }`];
  return [...line('add', add), ...line('delete', remove)];
}

/** The lines that make `chain` of what is there of it. */
export function chainLines(table: string, chain: NftChain, present?: PresentChain): string[] {
  const { name, hook, rules } = chain;
  if (present && hasSameRules(chain, present)) return [];
  const base = hook ? ` { type filter hook ${hook.hook} priority ${hook.priority}; policy accept; }` : '';
  return [
    present ? `flush chain inet ${table} ${name}` : `add chain inet ${table} ${name}${base}`,
    ...rules.map(({ text, comment }) => `add rule inet ${table} ${name} ${text} comment "${comment}"`),
  ];
}

export function hasSameRules({ rules }: NftChain, { comments }: PresentChain): boolean {
  return rules.length === comments.length && rules.every(({ comment }, i) => comment === comments[i]);
}

export function hasSameHook(chain: NftChain, present: PresentChain): boolean {
  return present.hook?.hook === chain.hook?.hook && present.hook?.priority === chain.hook?.priority;
}

/** A hook, or the type of a set, cannot be changed: then the table is replaced as a whole, in the one transaction. */
function isAlterable(present: PresentTable, chains: readonly NftChain[]): boolean {
  const sameHook = (chain: NftChain) => {
    const there = present.chains.get(chain.name);
    return !there || hasSameHook(chain, there);
  };
  return chains.every(sameHook) && ![...present.sets.values()].includes(undefined);
}
