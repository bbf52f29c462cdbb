/**
 * Renders the steering state as one nftables table, and the transaction that changes the kernel's
 * table to it. See nft(8).
 *
 * nft versions print the same rule differently, so rules cannot be compared as text. Each rule has
 * a comment instead: its purpose, and a fingerprint of the rule as written.
 */
import { createHash } from 'node:crypto';
import { COPY_LENGTH, difference, hex, type MarkBits, type SteeringState } from './state.ts';

export const TABLE = 'podfence';
export const SETS = { steered4: 'ipv4_addr', steered6: 'ipv6_addr' } as const;
export type SetName = keyof typeof SETS;

/**
 * Where a base chain is hooked. Priorities are numbers because old nft does not know their names
 * (mangle is -150, filter 0).
 */
export interface Hook {
  readonly hook: string;
  readonly priority: number;
}

export interface NftChain {
  readonly name: string;
  /** Undefined for a chain that only jumps reach. */
  readonly hook: Hook | undefined;
  readonly rules: readonly NftRule[];
}

export interface NftRule {
  readonly text: string;
  readonly comment: string;
}

/** The table in the kernel. */
export interface PresentTable {
  readonly chains: ReadonlyMap<string, PresentChain>;
  /** Elements by set name; undefined for a set that podfence would not create. */
  readonly sets: ReadonlyMap<string, ReadonlySet<string> | undefined>;
}

export interface PresentChain {
  readonly hook: Hook | undefined;
  /** The comment of each rule; '' if it has none. */
  readonly comments: readonly string[];
}

/** A chain and a rule as libnftables-json(5) lists them. */
export interface ListedChain {
  readonly chain?: { readonly name: string; readonly hook?: string; readonly prio?: number };
  readonly rule?: { readonly chain: string; readonly comment?: string };
}

/** Returns the chains by name, with the comments of their rules. */
export function presentChains(listed: readonly ListedChain[]): ReadonlyMap<string, PresentChain> {
  const chains = new Map<string, { hook: Hook | undefined; comments: string[] }>();
  for (const { chain, rule } of listed) {
    if (chain) {
      const hook = chain.hook === undefined ? undefined : { hook: chain.hook, priority: chain.prio ?? 0 };
      chains.set(chain.name, { hook, comments: [] });
    }
    if (rule) chains.get(rule.chain)?.comments.push(rule.comment ?? '');
  }
  return chains;
}

/**
 * Returns the chains that `state` needs, each after the chains that it jumps to. state.ts explains
 * each rule.
 * @param beforeRouting whether to judge first packets of translated UDP flows in prerouting;
 * ignored for copies
 */
export function renderNftChains(state: SteeringState, beforeRouting = false): NftChain[] {
  const { mark, deny, copiesTo, offload } = state;
  const forwardHook = { hook: 'forward', priority: -150 };
  if (copiesTo !== undefined) return [{ name: 'forward', hook: forwardHook, rules: copy(copiesTo, offload) }];
  const chains: NftChain[] = [];
  if (deny === 'reject') {
    // The mark is cleared first: with net.ipv4.fwmark_reflect the answer inherits it, and
    // postrouting would drop the answer.
    chains.push({
      name: 'answer',
      hook: undefined,
      rules: [
        rule(clear(mark.mask), 'our bits end here'),
        rule('meta l4proto tcp reject with tcp reset', 'answer TCP'),
        // UDP, SCTP and ICMP.
        rule('reject with icmpx admin-prohibited', 'answer others'),
      ],
    });
    // A packet passes this chain even if another chain of the hook accepted it: nft(8), "VERDICT
    // STATEMENTS".
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
      // dstnat is -100. A packet that a worker accepts goes on at the next chain.
      { name: 'prerouting', hook: { hook: 'prerouting', priority: -95 }, rules: prerouting() },
      { name: 'prerouting-judged', hook: { hook: 'prerouting', priority: -94 }, rules: preroutingJudged(state) },
    );
  }
  chains.push({ name: 'forward', hook: forwardHook, rules: forward(state, beforeRouting) });
  return chains;
}

/** Matches packets of translated UDP flows that have no answer yet. */
const FIRST_PACKETS = 'meta l4proto udp ct state new ct status dnat';

function prerouting(): NftRule[] {
  return [rule(`${FIRST_PACKETS} jump first-packet`, 'judged before routing')];
}

function firstPacket(state: SteeringState): NftRule[] {
  const { mark, offload } = state;
  return [
    rule(clear(mark.judged), 'nobody else says that a packet was judged'),
    // Packets to the node itself are not judged. For IPv4, `fib` reports unicast for every address
    // that no routing table names.
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
  // Without nft's flag fanout, which means one queue per CPU (NFT_QUEUE_FLAG_CPU_FANOUT, "use
  // current CPU (no hashing)", in the kernel's linux/netfilter/nf_tables.h). A range alone hashes
  // addresses and protocol, the same for both directions of a flow.
  const bypass = fail === 'open' ? 'flags bypass ' : '';
  const numbers = queues.count === 1 ? `${queues.first}` : `${queues.first}-${queues.first + queues.count - 1}`;
  return `queue ${bypass}to ${numbers}`;
}

/**
 * The threshold is 1 because the kernel would otherwise gather packets for up to a second. The rule
 * that changes nothing makes the kernel track connections, so that an agent that enforces later
 * knows those that were allowed.
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

/**
 * Returns the rules for packets from and to steered addresses.
 * @param statement must end the chain
 */
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

/** Returns a rule whose comment has its purpose and a fingerprint of its text. */
export function rule(text: string, purpose: string): NftRule {
  const fingerprint = createHash('sha256').update(text).digest('hex').slice(0, 8);
  return { text, comment: `${purpose} [${fingerprint}]` };
}

/**
 * Returns the input of `nft -f -` that turns `present` into the table with `chains` and `sets`, in
 * one transaction, or '' if nothing differs. It leaves chains that are correct alone: deleting a
 * base chain drops the packets that wait in queues for their verdict.
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

/**
 * Returns the same transaction without reading the table first: it creates missing sets and chains,
 * empties them and fills them, in one step for packets. nft refuses it if a chain is hooked
 * elsewhere.
 */
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

/** Returns the lines that change a set's elements from `present` to `wanted`. */
export function elementLines(name: SetName, present: ReadonlySet<string>, wanted: ReadonlySet<string>): string[] {
  const { add, remove } = difference(present, wanted);
  const line = (verb: string, addresses: string[]) =>
    addresses.length === 0 ? [] : [`${verb} element inet ${TABLE} ${name} { ${addresses.join(', ')} }`];
  return [...line('add', add), ...line('delete', remove)];
}

/** Returns the lines that turn the present chain into `chain`. */
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

/**
 * Whether the table can be changed in place. A chain's hook and a set's type cannot change; if one
 * differs, the transaction replaces the whole table.
 */
function isAlterable(present: PresentTable, chains: readonly NftChain[]): boolean {
  const sameHook = (chain: NftChain) => {
    const there = present.chains.get(chain.name);
    return !there || hasSameHook(chain, there);
  };
  return chains.every(sameHook) && ![...present.sets.values()].includes(undefined);
}
