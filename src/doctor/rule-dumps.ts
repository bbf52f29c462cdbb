/**
 * Parses a node's rules as its tools print them: `nft list ruleset` (or `nft list chains` and `list
 * flowtables`, which print less and cost little), and `iptables-save`. Reads only what shows which
 * software has rules, and where packets leave the usual path.
 */

import { iptablesMarkBits, nftMarkBits } from './mark-rules.ts';

/** The kind of rules; those of iptables-nft count as iptables. */
export type RuleKind = 'nftables' | 'iptables';

export interface RuleFacts {
  /** `inet kube-network-policies` */
  readonly tables: ReadonlySet<string>;
  /** Names of chains of all tables, of both kinds. */
  readonly chains: ReadonlySet<string>;
  readonly queues: readonly RuleQueue[];
  readonly flowTables: readonly NftFlowtable[];
  readonly marks: readonly RuleMark[];
}

/** A rule that writes connection marks. */
export interface RuleMark {
  /** The bits that it may change. */
  readonly bits: number;
  /** As in RuleQueue. */
  readonly place: string;
  readonly ours: boolean;
}

/** A rule that hands packets to a queue, or to several. */
export interface RuleQueue {
  readonly first: number;
  readonly last: number;
  /** Whether packets pass while no process reads the queue; otherwise they are dropped. */
  readonly bypass: boolean;
  /** Where the rule is: `chain postrouting of table inet kube-network-policies`. */
  readonly place: string;
  /** Whether the rule is podfence's. */
  readonly ours: boolean;
}

export interface NftFlowtable {
  /** `inet filter ft` */
  readonly name: string;
  readonly devices: readonly string[];
  /** Rules that add connections to it; 0 also if rules were not read. */
  readonly rules: number;
}

export const NO_RULES: RuleFacts = { tables: new Set(), chains: new Set(), queues: [], flowTables: [], marks: [] };

const OUR_TABLE = 'inet podfence';
const OUR_CHAINS = /^PODFENCE-/;

/** Parses the output of `nft list …` (nft(8), versions 0.9 to 1.1). */
export function readNft(text: string): RuleFacts {
  const tables = new Set<string>();
  const chains = new Set<string>();
  const queues: RuleQueue[] = [];
  const marks: RuleMark[] = [];
  const flowTables: { name: string; devices: string[]; rules: number }[] = [];
  let table = '';
  let chain = '';
  let flowTable: (typeof flowTables)[number] | undefined;
  for (const line of text.split('\n')) {
    const began = /^\s*(table|chain|flowtable) (\S+(?: \S+)?) \{/.exec(line);
    if (began?.[1] === 'table') {
      table = began[2] ?? '';
      tables.add(table);
    } else if (began?.[1] === 'chain') {
      chain = began[2] ?? '';
      chains.add(chain);
    } else if (began?.[1] === 'flowtable') {
      flowTable = { name: `${table} ${began[2]}`, devices: [], rules: 0 };
      flowTables.push(flowTable);
    }
    const devices = /^\s*devices = \{([^}]*)\}/.exec(line);
    if (devices && flowTable !== undefined) flowTable.devices.push(...listed(devices[1]));
    const rule = { place: placeOf(chain, table), ours: table === OUR_TABLE || OUR_CHAINS.test(chain) };
    const queue = nftQueue(line);
    if (queue !== undefined) queues.push({ ...queue, ...rule });
    const bits = nftMarkBits(line);
    if (bits !== 0) marks.push({ bits, ...rule });
    const offload = /\bflow (?:add|offload) @(\S+)/.exec(line)?.[1];
    const target = flowTables.find(({ name }) => name === `${table} ${offload}`);
    if (target !== undefined) target.rules++;
  }
  return { tables, chains, queues, flowTables, marks };
}

/**
 * Returns where a rule stands. nft and iptables-save both print the rules of iptables-nft. In the
 * same words, those that users know, they become one finding.
 */
function placeOf(chain: string, table: string): string {
  const iptables = /^ip6? (raw|mangle|nat|filter|security)$/.exec(table)?.[1];
  return iptables === undefined ? `chain ${chain} of table ${table}` : `chain ${chain} of iptables' table ${iptables}`;
}

/**
 * Parses `queue flags bypass to 100-101`, or `queue num 100 bypass` of older versions. nft prints
 * iptables-nft's rules as `xt target NFQUEUE`; those are read from iptables-save.
 */
function nftQueue(line: string): Pick<RuleQueue, 'first' | 'last' | 'bypass'> | undefined {
  const statement = /\bqueue\b(?! to @)([a-z, ]*?)(?:to|num) (\d+)(?:-(\d+))?(.*)$/.exec(line);
  if (statement === null || /comment ".*\bqueue\b/.test(line.slice(0, statement.index))) return undefined;
  const [, flags = '', first, last = first, rest = ''] = statement;
  return {
    first: Number(first),
    last: Number(last),
    bypass: /\bbypass\b/.test(flags) || /^[ ,a-z]*\bbypass\b/.test(rest),
  };
}

/** Parses the output of `iptables-save`, of all its tables. */
export function readIptables(text: string): RuleFacts {
  const chains = new Set<string>();
  const queues: RuleQueue[] = [];
  const marks: RuleMark[] = [];
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    const declared = /^:(\S+) /.exec(line)?.[1];
    if (declared !== undefined) chains.add(declared);
    const chain = /^-A (\S+) /.exec(line)?.[1] ?? '';
    const rule = { place: placeOf(chain, `ip ${table}`), ours: OUR_CHAINS.test(chain) };
    const bits = iptablesMarkBits(line);
    if (bits !== 0) marks.push({ bits, ...rule });
    const options = /-j NFQUEUE\b(.*)$/.exec(line)?.[1];
    if (options === undefined) continue;
    const balanced = /--queue-balance (\d+):(\d+)/.exec(options);
    const first = Number(balanced?.[1] ?? /--queue-num (\d+)/.exec(options)?.[1] ?? 0);
    queues.push({
      first,
      last: Number(balanced?.[2] ?? first),
      bypass: options.includes('--queue-bypass'),
      ...rule,
    });
  }
  return { tables: new Set(), chains, queues, flowTables: [], marks };
}

export function joinRules(parts: readonly RuleFacts[]): RuleFacts {
  return {
    tables: new Set(parts.flatMap(({ tables }) => [...tables])),
    chains: new Set(parts.flatMap(({ chains }) => [...chains])),
    queues: parts.flatMap(({ queues }) => queues),
    flowTables: parts.flatMap(({ flowTables }) => flowTables),
    marks: parts.flatMap(({ marks }) => marks),
  };
}

function listed(text = ''): string[] {
  return text
    .split(',')
    .map((item) => item.trim().replaceAll('"', ''))
    .filter((item) => item !== '');
}
