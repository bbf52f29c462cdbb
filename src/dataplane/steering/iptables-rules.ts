/**
 * Renders the steering state as iptables rules: chains of podfence's own, each hooked by a jump
 * that is the first rule of a built-in chain. The rules are spelled as iptables-save prints them
 * (1.8, both variants), so that wanted and present rules compare as text. See
 * iptables-extensions(8).
 */
import { COPY_LENGTH, hex, type SteeringState } from './state.ts';

export type Family = 4 | 6;
/** The tables that have podfence's chains, or may have them from an earlier podfence. */
export const TABLES = ['security', 'mangle', 'filter'] as const;
export type Table = (typeof TABLES)[number];

/**
 * The table whose FORWARD chain queues packets. A packet that a worker accepts goes on at the next
 * hook, so later rules of other software in the same table never see it. `security` comes after all
 * other tables of the hook (priority 50, NF_IP_PRI_SECURITY in linux/netfilter_ipv4.h; 150 in
 * iptables' nf_tables variant), and few have rules there. REJECT must come after the queue and
 * works only in `filter`, so with `deny: reject` packets are queued in `mangle`. Copies are taken
 * in `mangle` too: a copied packet goes on with the next rule.
 */
export type QueueTable = 'security' | 'mangle';

/** Whether `state` works with either table. */
export function maySteerInSecurity({ deny, copiesTo }: SteeringState): boolean {
  return deny === 'drop' && copiesTo === undefined;
}
/** The built-in chains that jump to podfence's. */
export const HOOKS = ['FORWARD', 'POSTROUTING'] as const;

/** Prefix of podfence's chains; chains with other names are foreign. */
export const CHAIN_PREFIX = 'PODFENCE-';
export const POSTROUTING_CHAIN = `${CHAIN_PREFIX}POSTROUTING`;

/** A chain of podfence's. */
export interface Chain {
  readonly table: Table;
  readonly name: string;
  /** The built-in chain whose first rule jumps here. */
  readonly hook: (typeof HOOKS)[number];
  /** The matches of that jump, with a trailing space; may be empty. */
  readonly match: string;
  /** The rules, without `-A NAME `. */
  readonly rules: readonly string[];
}

/** Returns the name of the set of steered addresses. */
export function setName(family: Family): string {
  return `podfence-steered-${family}`;
}

/** Returns the rule that jumps to a chain, without `-A HOOK `. */
export function jumpOf(chain: Chain): string {
  return `${chain.match}-j ${chain.name}`;
}

/**
 * Returns the chains that `state` needs. Chains without which a packet could pass come first: the
 * rules that reject must be in place before a worker can ask for it. state.ts explains each rule.
 * @param queueTable where to queue packets if `state` allows it
 */
export function renderChains(family: Family, state: SteeringState, queueTable: QueueTable): Chain[] {
  if (state.copiesTo !== undefined) return [copyChain(family, state.copiesTo, state.offload)];
  const chains: Chain[] = [];
  if (state.deny === 'reject') chains.push(rejectChain(family, state));
  const forward = forwardChain(family, state);
  // Each table is one commit. The second one removes an older podfence's chain in mangle; until
  // then a packet is judged twice at most.
  if (queueTable === 'security' && maySteerInSecurity(state)) chains.push({ ...forward, table: 'security' });
  chains.push(postroutingChain(state));
  if (chains[0]?.table !== 'security') chains.push(forward);
  return chains;
}

function forwardChain(family: Family, { mark, offload, queues, fail }: SteeringState): Chain {
  const error = `-p ${family === 4 ? 'icmp' : 'ipv6-icmp'} -m conntrack --ctstate RELATED `;
  const rules = [clear(mark.judged), `${offload ? '' : error}-m connmark --mark ${has(mark.judged)} -j RETURN`];
  // Both rules hash addresses and protocol so that both directions of a flow go to the same queue
  // (nfqueue_hash in the kernel's include/net/netfilter/nf_queue.h). The seed is the same in both.
  const numbers =
    queues.count === 1
      ? `--queue-num ${queues.first}`
      : `--queue-balance ${queues.first}:${queues.first + queues.count - 1}`;
  const bypass = fail === 'open' ? ' --queue-bypass' : '';
  for (const side of ['src', 'dst']) {
    rules.push(`-m set --match-set ${setName(family)} ${side} -j NFQUEUE ${numbers}${bypass}`);
  }
  return { table: 'mangle', name: `${CHAIN_PREFIX}FORWARD`, hook: 'FORWARD', match: '', rules };
}

/**
 * The threshold is 1 because the kernel would otherwise gather packets for up to a second. One copy
 * is enough if both ends are steered. The rule without a target makes the kernel track connections,
 * so that an agent that enforces later knows those that were allowed.
 */
function copyChain(family: Family, group: number, offload: boolean): Chain {
  const set = setName(family);
  const copy = `-j NFLOG --nflog-group ${group} --nflog-size ${COPY_LENGTH} --nflog-threshold 1`;
  const error = `-p ${family === 4 ? 'icmp' : 'ipv6-icmp'} -m conntrack --ctstate RELATED`;
  const rules = offload
    ? ['-m conntrack --ctstate ESTABLISHED -j RETURN', `${error} -j RETURN`]
    : ['-m conntrack --ctstate ESTABLISHED'];
  rules.push(
    `-m set --match-set ${set} src ${copy}`,
    `-m set ! --match-set ${set} src -m set --match-set ${set} dst ${copy}`,
  );
  return { table: 'mangle', name: `${CHAIN_PREFIX}FORWARD`, hook: 'FORWARD', match: '', rules };
}

function postroutingChain({ mark, deny }: SteeringState): Chain {
  const rules: string[] = [];
  if (deny === 'reject') rules.push(`-m mark --mark ${has(mark.reject)} -j DROP`);
  const bit = hex(mark.judged);
  rules.push(`-m mark --mark ${has(mark.judged)} -j CONNMARK --save-mark --nfmask ${bit} --ctmask ${bit}`);
  rules.push(clear(mark.mask));
  const match = `-m mark ! --mark 0x0/${hex(mark.mask)} `;
  return { table: 'mangle', name: POSTROUTING_CHAIN, hook: 'POSTROUTING', match, rules };
}

/**
 * Answers a denied packet: a TCP reset, or an ICMP error for UDP, SCTP and ICMP.
 * The mark is cleared first: with the sysctl net.ipv4.fwmark_reflect the answer inherits it
 * (nf_send_reset in the kernel's net/ipv4/netfilter/nf_reject_ipv4.c), and postrouting would drop
 * the answer. REJECT ends every packet, whether it sends an answer or not.
 */
function rejectChain(family: Family, { mark }: SteeringState): Chain {
  const prohibited = family === 4 ? 'icmp-admin-prohibited' : 'icmp6-adm-prohibited';
  return {
    table: 'filter',
    name: `${CHAIN_PREFIX}REJECT`,
    hook: 'FORWARD',
    match: `-m mark --mark ${has(mark.reject)} `,
    rules: [clear(mark.mask), '-p tcp -j REJECT --reject-with tcp-reset', `-j REJECT --reject-with ${prohibited}`],
  };
}

/** Matches packets with all of these bits set. */
function has(bits: number): string {
  return `${hex(bits)}/${hex(bits)}`;
}

function clear(bits: number): string {
  return `-j MARK --set-xmark 0x0/${hex(bits)}`;
}
