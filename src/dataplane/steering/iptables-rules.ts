/**
 * The steering state as iptables rules: chains of our own, each hooked by one jump in the first position of a built-in chain. Spelled as
 * iptables-save prints them (1.8, both variants), so that what is wanted and what is in place compare as text. See
 * iptables-extensions(8).
 */
import { COPY_LENGTH, hex, type SteeringState } from './state.ts';

export type Family = 4 | 6;
/** Those that have chains of ours, or may have from an earlier podfence. */
export const TABLES = ['security', 'mangle', 'filter'] as const;
export type Table = (typeof TABLES)[number];

/**
 * The table whose FORWARD hands packets over. After a queue's accept a packet goes on at the next hook, so that rules of others behind ours in the same table never see it. `security` lies behind all
 * other tables of the hook (priority 50, NF_IP_PRI_SECURITY in linux/netfilter_ipv4.h; 150 in iptables' nf_tables variant), and few have rules there. A REJECT has to come behind, and is only taken in `filter`: with `deny: reject` packets are
 * handed over in `mangle`. So are copies, behind which a packet goes on with the next rule.
 */
export type QueueTable = 'security' | 'mangle';

/** Whether `state` can do with either table. */
export function maySteerInSecurity({ deny, copiesTo }: SteeringState): boolean {
  return deny === 'drop' && copiesTo === undefined;
}
/** The built-in chains that jump to ours. */
export const HOOKS = ['FORWARD', 'POSTROUTING'] as const;

/** Everything of ours begins with this; chains with other names are foreign. */
export const CHAIN_PREFIX = 'PODFENCE-';
export const POSTROUTING_CHAIN = `${CHAIN_PREFIX}POSTROUTING`;

/** A chain of our own. */
export interface Chain {
  readonly table: Table;
  readonly name: string;
  /** The built-in chain whose first rule jumps here. */
  readonly hook: (typeof HOOKS)[number];
  /** The matches of that jump, with a trailing space, or empty. */
  readonly match: string;
  /** What follows `-A NAME `, one rule each. */
  readonly rules: readonly string[];
}

/** The name of the set of steered addresses. */
export function setName(family: Family): string {
  return `podfence-steered-${family}`;
}

/** The rule that hooks a chain, without `-A HOOK `. */
export function jumpOf(chain: Chain): string {
  return `${chain.match}-j ${chain.name}`;
}

/**
 * The chains that `state` needs, those first whose absence would let a packet pass: the answer to a reject is in place before a worker can
 * give one. See state.ts for what each rule means.
 * @param queueTable where packets are handed over if `state` allows it
 */
export function renderChains(family: Family, state: SteeringState, queueTable: QueueTable): Chain[] {
  if (state.copiesTo !== undefined) return [copyChain(family, state.copiesTo, state.offload)];
  const chains: Chain[] = [];
  if (state.deny === 'reject') chains.push(rejectChain(family, state));
  const forward = forwardChain(family, state);
  // A table is written by one commit. An older podfence's chain in mangle goes with the second one: until then a packet is judged twice at most.
  if (queueTable === 'security' && maySteerInSecurity(state)) chains.push({ ...forward, table: 'security' });
  chains.push(postroutingChain(state));
  if (chains[0]?.table !== 'security') chains.push(forward);
  return chains;
}

function forwardChain(family: Family, { mark, offload, queues, fail }: SteeringState): Chain {
  const error = `-p ${family === 4 ? 'icmp' : 'ipv6-icmp'} -m conntrack --ctstate RELATED `;
  const rules = [clear(mark.judged), `${offload ? '' : error}-m connmark --mark ${has(mark.judged)} -j RETURN`];
  // Both hash addresses and protocol of a packet so that the two directions of a flow meet in one queue (nfqueue_hash in the kernel's
  // include/net/netfilter/nf_queue.h). The hash has the same seed in both rules.
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
 * A threshold of 1: the kernel would otherwise gather packets for up to a second. One copy is enough where both ends are steered. The rule without a target makes
 * the kernel track connections, so that an agent that enforces later knows those that were allowed.
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
 * The mark is cleared first, for the answer inherits it where the sysctl net.ipv4.fwmark_reflect is on (nf_send_reset in the kernel's
 * net/ipv4/netfilter/nf_reject_ipv4.c), and would be dropped in postrouting. REJECT ends every packet, with or without an answer.
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

/** All of the bits are set. */
function has(bits: number): string {
  return `${hex(bits)}/${hex(bits)}`;
}

function clear(bits: number): string {
  return `-j MARK --set-xmark 0x0/${hex(bits)}`;
}
