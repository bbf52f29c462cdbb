/**
 * What the kernel can do with the tools installed here: each ability is tried separately, and the
 * steering follows from them.
 */
import type { CheckName } from './checks.ts';
import { type Finding, finding } from './finding.ts';

/** The result of a trial: no refusal means success. */
export interface Trial {
  readonly ability: Ability;
  readonly refusal?: Refusal;
}

export interface Refusal {
  /** NOT_PERMITTED, TOOL_MISSING, KERNEL_LACKS and others of dataplane/steering/error.ts. */
  readonly code: string;
  /** One line. */
  readonly message: string;
  readonly hint: string;
}

export type Ability = Extract<
  CheckName,
  | 'nft-queue'
  | 'iptables-queue'
  | 'ipset'
  | 'connection-marks'
  | 'packet-copies'
  | 'connection-events'
  | 'fib'
  | 'connection-table'
>;

interface AbilityWords {
  readonly works: string;
  readonly without: string;
  /** What to do if the kernel lacks it. */
  readonly remedy: string;
  /** The severity if it is missing. */
  readonly severity: 'info' | 'warning' | 'problem';
}

const WORDS: Readonly<Record<Ability, AbilityWords>> = {
  'nft-queue': {
    works: 'nftables can hand packets to a queue.',
    without: 'nftables cannot hand packets to a queue; iptables has to.',
    remedy: 'Nothing, if iptables can. Otherwise load the module nft_queue (CONFIG_NFT_QUEUE).',
    severity: 'info',
  },
  'iptables-queue': {
    works: 'iptables can hand packets to a queue.',
    without: 'iptables cannot hand packets to a queue; nftables has to.',
    remedy: 'Nothing, if nftables can. Otherwise load xt_NFQUEUE and nfnetlink_queue.',
    severity: 'info',
  },
  ipset: {
    works: 'ipset can store sets of addresses.',
    without: 'There are no sets of addresses for iptables (ipset); only nftables can steer.',
    remedy: 'Nothing, if nftables can hand packets to a queue. Otherwise load ip_set_hash_ip and xt_set.',
    severity: 'info',
  },
  'connection-marks': {
    works: 'Connections can be marked, so that the kernel carries a judged one on.',
    without:
      'Connections cannot be marked: podfence can neither offload what it has judged nor start with the offload on.',
    remedy: 'Load nft_ct, or xt_connmark and xt_mark.',
    severity: 'problem',
  },
  'packet-copies': {
    works: 'Rules can copy packets (NFLOG), which audit mode needs.',
    without: 'Rules cannot copy packets (NFLOG): audit mode does not work.',
    remedy: 'Load nfnetlink_log, with nft_log or xt_NFLOG.',
    severity: 'warning',
  },
  'connection-events': {
    works: 'The connection table can report its changes.',
    without:
      'The connection table cannot report its changes (CONFIG_NF_CONNTRACK_EVENTS). This version of podfence reads the table instead, and misses nothing.',
    remedy: 'Nothing.',
    severity: 'info',
  },
  fib: {
    works: 'Rules can look up routes, against forged senders.',
    without: 'Rules cannot look up routes: packets with forged source addresses pass.',
    remedy: 'Load nft_fib_inet, or drop NET_RAW from pods.',
    severity: 'warning',
  },
  'connection-table': {
    works: "The kernel's connection table can be read.",
    without: "The kernel's connection table cannot be read: podfence cannot end connections that a change denies.",
    remedy: 'Load nf_conntrack_netlink.',
    severity: 'problem',
  },
};

export function abilities(trials: readonly Trial[]): Finding[] {
  return trials.map(({ ability, refusal }) => {
    const { works, without, remedy, severity } = WORDS[ability];
    if (refusal === undefined) return finding(ability, 'ok', 'certain', works);
    if (refusal.code === 'NOT_PERMITTED') {
      return finding(
        'not-looked',
        'info',
        'certain',
        `${ability} could not be tried: ${refusal.message}`,
        sentence(refusal.hint),
      );
    }
    const advice = refusal.code === 'KERNEL_LACKS' ? remedy : sentence(refusal.hint);
    return finding(ability, severity, 'certain', `${without} ${sentence(refusal.message)}`, advice);
  });
}

/** Both kinds of steering, tried with everything that enforcing needs. */
export interface SteeringSurvey {
  /** Why nftables cannot steer; undefined if it can. */
  readonly nftables?: Refusal;
  readonly iptables?: Refusal;
  /** The kind of podfence rules that exist already. */
  readonly inPlace?: 'nftables' | 'iptables';
  /** The choice of `--steering auto`; undefined if neither works. */
  readonly chosen?: 'nftables' | 'iptables';
  /** Whether nftables accepts the rules that judge first packets of UDP flows before routing. */
  readonly beforeRouting?: boolean;
}

export type SteeringInForce = Pick<SteeringSurvey, 'chosen' | 'beforeRouting'>;

export function steering({ nftables, iptables, inPlace, chosen }: SteeringSurvey): Finding {
  if (chosen === undefined) {
    return finding(
      'steering',
      'problem',
      'certain',
      `Neither nftables nor iptables can hand packets over here, so podfence cannot enforce. ${sentence(nftables?.message)} ${sentence(iptables?.message)}`,
      sentence([...new Set([iptables?.hint, nftables?.hint])].filter(Boolean).join('; ')),
    );
  }
  const already = inPlace === chosen ? ' Its rules are in place.' : '';
  return finding(
    'steering',
    'ok',
    'certain',
    `podfence steers by ${chosen}: ${why({ nftables, iptables, inPlace, chosen })}.${already}`,
  );
}

function why({
  nftables,
  iptables,
  inPlace,
  chosen,
}: { [K in keyof SteeringSurvey]: SteeringSurvey[K] | undefined }): string {
  if (chosen === 'iptables' && nftables !== undefined) return firstReason(nftables);
  if (chosen === 'iptables')
    return 'its rules are there already, and the next agent adopts them, though nftables would work too';
  return iptables === undefined && inPlace === undefined
    ? 'both kinds work, and nftables is preferred'
    : iptables === undefined
      ? 'both kinds work, and its rules are there already'
      : firstReason(iptables);
}

/** The text of the error: `nftables cannot steer packets here: …`. */
function firstReason({ message }: Refusal): string {
  return message.replace(/\.$/, '');
}

function sentence(text = ''): string {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  // Names of tools keep their lower case.
  const begun = /^(nft|ip6?tables|ipset|net\.)/.test(trimmed)
    ? trimmed
    : trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
