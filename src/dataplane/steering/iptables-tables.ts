/**
 * From what iptables-save prints to the input of iptables-restore that makes it what is wanted, and nothing if it is already.
 *
 * With --noflush, iptables-restore carries out each table's lines in one commit: packets see the table as before or as after, in both
 * variants. `:CHAIN` creates the chain or empties it. See iptables-restore(8).
 */
import { CHAIN_PREFIX, type Chain, jumpOf, type Table } from './iptables-rules.ts';
import type { ChainSight } from './rule-watch.ts';

/** One table as it is in place: the rules of each chain, without `-A CHAIN `. */
export type SavedTable = ReadonlyMap<string, readonly string[]>;

/** Reads one table out of the text of `iptables-save -t TABLE`; a table that does not exist yet is empty. */
export function parseSave(text: string): SavedTable {
  const chains = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const declared = /^:(\S+) /.exec(line);
    if (declared?.[1]) chains.set(declared[1], []);
    const rule = /^-A (\S+) (.*)$/.exec(line);
    if (rule?.[1] && rule[2]) chains.get(rule[1])?.push(rule[2].trimEnd());
  }
  return chains;
}

/**
 * The input of iptables-restore that turns `saved` into a table with exactly `wanted` of ours, each hooked in the first position, or '' if
 * it is so. Rules of ours that are in place as wanted are left alone, with their counters.
 */
export function restoreInput(table: Table, saved: SavedTable, wanted: readonly Chain[]): string {
  const lines: string[] = [];
  for (const { name, rules } of wanted) {
    if (sameRules(saved.get(name), rules)) continue;
    lines.push(`:${name} - [0:0]`, ...rules.map((rule) => `-A ${name} ${rule}`));
  }
  lines.push(...rehook(saved, wanted));
  const obsolete = [...saved.keys()].filter((name) => isOurs(name) && !wanted.some((chain) => chain.name === name));
  lines.push(...obsolete.map((name) => `-F ${name}`), ...obsolete.map((name) => `-X ${name}`));
  return lines.length === 0 ? '' : `*${table}\n${lines.join('\n')}\nCOMMIT\n`;
}

/**
 * The input of iptables-restore that puts chains in place again without a look at the tables first, or '' where nothing was told of them.
 * @param sightOf a chain as it is by what was told
 */
export function restoreToldInput(chains: readonly Chain[], sightOf: (chain: Chain) => ChainSight | undefined): string {
  const tables = Map.groupBy(chains, ({ table }) => table);
  let input = '';
  for (const [table, ofTable] of tables) {
    const lines = ofTable.flatMap((chain) => {
      const { same, jump } = sightOf(chain) ?? { same: true, jump: true };
      const rules = same ? [] : [`:${chain.name} - [0:0]`, ...chain.rules.map((rule) => `-A ${chain.name} ${rule}`)];
      return jump ? rules : [...rules, `-I ${chain.hook} 1 ${jumpOf(chain)}`];
    });
    if (lines.length > 0) input += `*${table}\n${lines.join('\n')}\nCOMMIT\n`;
  }
  return input;
}

/** Takes away jumps to our chains that should not be, and puts those that should be first. */
function rehook(saved: SavedTable, wanted: readonly Chain[]): string[] {
  const lines: string[] = [];
  for (const [from, rules] of saved) {
    if (isOurs(from)) continue;
    const present = rules.filter((rule) => isOurs(targetOf(rule)));
    const jumps = wanted.filter((chain) => chain.hook === from).map(jumpOf);
    const inPlace = present.length === jumps.length && jumps.every((jump, index) => rules[index] === jump);
    if (inPlace) continue;
    lines.push(...present.map((rule) => `-D ${from} ${rule}`));
    lines.push(...jumps.map((jump, index) => `-I ${from} ${index + 1} ${jump}`));
  }
  // A built-in chain that iptables-nft has not made yet is not in what it saves.
  const unseen = wanted.filter((chain) => !saved.has(chain.hook));
  return [...lines, ...unseen.map((chain) => `-I ${chain.hook} 1 ${jumpOf(chain)}`)];
}

/** Whether the chain is reached, though others may have put rules before our jump: to want the first place would be to fight for it. */
export function hasJump(saved: SavedTable, chain: Chain): boolean {
  return saved.get(chain.hook)?.includes(jumpOf(chain)) ?? false;
}

/** Whether podfence has anything in the table. */
export function hasOurs(saved: SavedTable): boolean {
  return [...saved.keys()].some(isOurs);
}

function isOurs(chain: string): boolean {
  return chain.startsWith(CHAIN_PREFIX);
}

/** The chain or target that a rule jumps or goes to. */
function targetOf(rule: string): string {
  return /(?:^| )-[jg] (\S+)/.exec(rule)?.[1] ?? '';
}

/** @param present undefined where the chain is not there */
export function sameRules(present: readonly string[] | undefined, wanted: readonly string[]): boolean {
  return (
    present !== undefined && present.length === wanted.length && wanted.every((rule, index) => rule === present[index])
  );
}
