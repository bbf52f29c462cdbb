/**
 * Compares what iptables-save prints with the wanted chains and writes the input of
 * iptables-restore that makes the difference; empty if there is none.
 *
 * With --noflush, iptables-restore commits all lines of a table at once, in both variants: packets
 * see the table either before or after. `:CHAIN` creates or empties a chain. See
 * iptables-restore(8).
 */
import { CHAIN_PREFIX, type Chain, jumpOf, type Table } from './iptables-rules.ts';
import type { ChainSight } from './rule-watch.ts';

/** A table in the kernel: the rules of each chain, without `-A CHAIN `. */
export type SavedTable = ReadonlyMap<string, readonly string[]>;

/** Parses the output of `iptables-save -t TABLE`; a table that does not exist yet is empty. */
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
 * Returns the input of iptables-restore after which podfence has exactly the chains `wanted` in the
 * table, each hooked by the first rule, or '' if that is so already. It leaves rules that are
 * correct alone, so they keep their counters.
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
 * Returns the input of iptables-restore that restores chains without reading the tables first, or
 * '' if no notice concerned them.
 * @param sightOf returns a chain's state according to the notices; undefined if there were none
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

/** Removes wrong jumps to our chains, and puts the wanted ones first. */
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
  // iptables-nft does not list a built-in chain that it has not created yet.
  const unseen = wanted.filter((chain) => !saved.has(chain.hook));
  return [...lines, ...unseen.map((chain) => `-I ${chain.hook} 1 ${jumpOf(chain)}`)];
}

/**
 * Whether a jump to the chain exists, in any position: other software may insert its rules before
 * ours, and we do not fight it for the first place.
 */
export function hasJump(saved: SavedTable, chain: Chain): boolean {
  return saved.get(chain.hook)?.includes(jumpOf(chain)) ?? false;
}

/** Whether podfence has a chain in the table. */
export function hasOurs(saved: SavedTable): boolean {
  return [...saved.keys()].some(isOurs);
}

function isOurs(chain: string): boolean {
  return chain.startsWith(CHAIN_PREFIX);
}

/** Returns the chain or target that a rule jumps or goes to. */
function targetOf(rule: string): string {
  return /(?:^| )-[jg] (\S+)/.exec(rule)?.[1] ?? '';
}

/** @param present undefined if the chain does not exist */
export function sameRules(present: readonly string[] | undefined, wanted: readonly string[]): boolean {
  return (
    present !== undefined && present.length === wanted.length && wanted.every((rule, index) => rule === present[index])
  );
}
