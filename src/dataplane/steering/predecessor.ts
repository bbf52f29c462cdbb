/**
 * Finds what an earlier agent left in the kernel: its rules, in words for the log, and its sign,
 * which shows how it ended.
 */

import { SET_PREFIX } from './ipset.ts';
import { listSets, readSetText } from './iptables-commands.ts';
import { CHAIN_PREFIX } from './iptables-rules.ts';
import { groupsOf, nftablesInstalled, ourTables, queuesOf, supported } from './leftovers.ts';
import { TABLE } from './nftables-rules.ts';
import type { System } from './run.ts';
import { parseIpsetSign, parseNftSign, SIGN_IPSET, type Sign } from './sign.ts';

export interface Predecessor {
  /**
   * Commands whose rules queue packets rather than copy them: `nft`, `iptables`,
   * `ip6tables-legacy`.
   */
  readonly queueing: readonly string[];
  /** The queues that these rules name. */
  readonly queues: readonly number[];
  /** The NFLOG groups that rules of an agent in audit mode copy packets to. */
  readonly groups: readonly number[];
  /** What was found, such as `iptables, table security: chain PODFENCE-FORWARD`. */
  readonly found: readonly string[];
  /**
   * What happens to new connections of isolated pods while no agent judges. `passed` also if the
   * rules queue nothing, or only copy.
   */
  readonly meanwhile: 'dropped' | 'passed';
  /**
   * Undefined if there is none: an older podfence wrote the rules, or the agent ended within
   * seconds.
   */
  readonly sign: Sign | undefined;
}

/**
 * Finds the predecessor; undefined if the kernel has nothing of podfence's. Throws SteeringError.
 */
export async function findPredecessor(system: System): Promise<Predecessor | undefined> {
  const found: string[] = [];
  /** The rules of each command that queue packets. */
  const queueing = new Map<string, string[]>();
  const groups = new Set<number>();
  const look = (command: string, rules: readonly string[]) => {
    // nftables: `queue to 9464`; iptables: `-j NFQUEUE --queue-num 9464`.
    const those = rules.filter((rule) => /\bqueue (flags|to|num)\b|-j NFQUEUE\b/.test(rule));
    if (those.length > 0) queueing.set(command, [...(queueing.get(command) ?? []), ...those]);
    for (const group of groupsOf(rules.join('\n'))) groups.add(group);
  };
  let sign: Sign | undefined;
  if (await nftablesInstalled(system)) {
    found.push(`nftables, table inet ${TABLE}`);
    look('nft', (await system.run('nft', ['list', 'table', 'inet', TABLE])).split('\n'));
    sign = parseNftSign(await system.run('nft', ['-j', 'list', 'table', 'inet', TABLE]));
  }
  for await (const { command, table, saved } of ourTables(system)) {
    for (const [chain, lines] of saved) {
      if (!chain.startsWith(CHAIN_PREFIX)) continue;
      found.push(`${command}, table ${table}: chain ${chain}`);
      look(command, lines);
    }
  }
  const sets = ((await supported(listSets(system))) ?? []).filter((name) => name.startsWith(SET_PREFIX));
  found.push(...sets.filter((name) => name !== SIGN_IPSET).map((name) => `set ${name}`));
  if (sets.includes(SIGN_IPSET)) sign ??= parseIpsetSign(await readSetText(system, SIGN_IPSET));
  if (found.length === 0) return undefined;
  // With bypass, packets for a queue without a reader pass.
  const holds = queueing.values().some((rules) => rules.some((rule) => !/\bbypass\b/.test(rule)));
  const queues = [...new Set(queueing.values().flatMap((rules) => queuesOf(rules.join('\n'))))];
  return {
    ...{ queueing: [...queueing.keys()], queues, groups: [...groups], found },
    ...{ meanwhile: holds ? 'dropped' : 'passed', sign },
  };
}
