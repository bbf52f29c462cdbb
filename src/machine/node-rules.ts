/**
 * Reads the packet filter's rules in place, of nftables and iptables, as far as this process may.
 */
import { isUnsupported } from '../dataplane/steering/error.ts';
import type { System } from '../dataplane/steering/run.ts';
import { joinRules, NO_RULES, type RuleFacts, type RuleKind, readIptables, readNft } from '../doctor/rule-dumps.ts';

export interface NodeRules {
  readonly rules: RuleFacts;
  /**
   * Kinds whose rules could not be read, or not completely: for these, absence from `rules` proves
   * nothing.
   */
  readonly unread: ReadonlySet<RuleKind>;
  /** What could not be read, as sentences. */
  readonly failures: string[];
}

/** Reads everything, which takes seconds with the rules of a large kube-proxy. */
export async function readRules(system: System): Promise<NodeRules> {
  const reading = new Reading(system);
  const nft = readNft(await reading.output('nftables', 'nft', ['list', 'ruleset']));
  const parts = [nft];
  for (const family of ['ip', 'ip6']) {
    // Rules of iptables-nft are in nftables' tables. If there are none, the tool need not be
    // installed.
    const tables = new RegExp(`^${family} (raw|mangle|nat|filter|security)$`);
    if (reading.unread.has('nftables') || [...nft.tables].some((table) => tables.test(table))) {
      parts.push(readIptables(await reading.output('iptables', `${family}tables-nft-save`, [])));
    }
    for (const table of legacyTables(system, family)) {
      parts.push(readIptables(await reading.output('iptables', `${family}tables-legacy-save`, ['-t', table])));
    }
  }
  return { rules: joinRules(parts), unread: reading.unread, failures: reading.failures };
}

/**
 * Reads names of tables and chains, and flow tables: cheap with any number of rules. Leaves out
 * chains of legacy iptables.
 */
export async function readRuleNames(system: System): Promise<NodeRules> {
  const reading = new Reading(system);
  const parts = [
    readNft(await reading.output('nftables', 'nft', ['list', 'chains'])),
    {
      ...NO_RULES,
      flowTables: readNft(await reading.output('nftables', 'nft', ['list', 'flowtables'])).flowTables,
    },
  ];
  if (['ip', 'ip6'].some((family) => legacyTables(system, family).length > 0)) {
    reading.leaveOut(
      'iptables',
      'Legacy iptables has tables here, which an agent does not read; podfence doctor on the node does.',
    );
  }
  return { rules: joinRules(parts), unread: reading.unread, failures: reading.failures };
}

/** Reads the names from /proc: legacy iptables creates any table that it is asked about. */
function legacyTables(system: System, family: string): readonly string[] {
  return (system.read(`/proc/thread-self/net/${family}_tables_names`) ?? '').split('\n').filter(Boolean);
}

class Reading {
  readonly unread = new Set<RuleKind>();
  readonly failures: string[] = [];
  readonly #system: System;

  constructor(system: System) {
    this.#system = system;
  }

  /**
   * Returns a tool's output; empty if the kernel lacks this kind, which then has no rules. If the
   * tool is missing, there may be rules: the kind counts as unread.
   */
  async output(kind: RuleKind, command: string, args: readonly string[]): Promise<string> {
    try {
      return await this.#system.run(command, args);
    } catch (error) {
      if (isUnsupported(error) && error.code === 'KERNEL_LACKS') return '';
      const words = error instanceof Error ? error.message.split('\n')[0] : error;
      this.leaveOut(kind, `The rules of ${kind} could not be read: ${words}.`);
      return '';
    }
  }

  leaveOut(kind: RuleKind, sentence: string): void {
    this.unread.add(kind);
    if (!this.failures.includes(sentence)) this.failures.push(sentence);
  }
}
