/** The packet filter's rules in place, of both tools, as far as this process may read them. */
import { isUnsupported } from '../dataplane/steering/error.ts';
import type { System } from '../dataplane/steering/run.ts';
import { joinRules, NO_RULES, type RuleFacts, type RuleKind, readIptables, readNft } from '../doctor/rule-dumps.ts';

export interface NodeRules {
  readonly rules: RuleFacts;
  /**
   * Whose rules could not be read, or not all of them: nothing follows from what is not in `rules`.
   */
  readonly unread: ReadonlySet<RuleKind>;
  /** What could not be read, as sentences. */
  readonly failures: string[];
}

/** Everything. With the rules of a large kube-proxy it takes seconds. */
export async function readRules(system: System): Promise<NodeRules> {
  const reading = new Reading(system);
  const nft = readNft(await reading.output('nftables', 'nft', ['list', 'ruleset']));
  const parts = [nft];
  for (const family of ['ip', 'ip6']) {
    // Rules of iptables-nft are in tables of nftables. Where there are none, it need not be
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

/** Names of tables and chains, and flow tables: cheap, however many rules there are. Legacy iptables' chains are not among them. */
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
      'Legacy iptables has tables here, which an agent does not look into: podfence doctor on the node does.',
    );
  }
  return { rules: joinRules(parts), unread: reading.unread, failures: reading.failures };
}

/** To ask legacy iptables about a table that does not exist makes it. */
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
   * Empty where the kernel's part for it is missing: then there are no rules of it. Without the
   * tool nobody knows.
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
