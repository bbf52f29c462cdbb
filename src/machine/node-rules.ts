/** The packet filter's rules in place, of both tools, as far as this process may read them. */
import { isUnsupported } from '../dataplane/steering/error.ts';
import type { System } from '../dataplane/steering/run.ts';
import { joinRules, NO_RULES, type RuleFacts, readIptables, readNft } from '../doctor/rule-dumps.ts';

export interface NodeRules {
  readonly rules: RuleFacts;
  /** What could not be read, as sentences. */
  readonly failures: string[];
}

/** Everything. With the rules of a large kube-proxy it takes seconds. */
export async function readRules(system: System): Promise<NodeRules> {
  const failures: string[] = [];
  const parts = [readNft(await output(system, failures, 'nft', ['list', 'ruleset']))];
  for (const family of ['ip', 'ip6']) {
    parts.push(readIptables(await output(system, failures, `${family}tables-nft-save`, [])));
    // To ask legacy iptables about a table that does not exist makes it.
    const tables = (system.read(`/proc/thread-self/net/${family}_tables_names`) ?? '').split('\n').filter(Boolean);
    for (const table of tables) {
      parts.push(readIptables(await output(system, failures, `${family}tables-legacy-save`, ['-t', table])));
    }
  }
  return { rules: joinRules(parts), failures };
}

/** Names of tables and chains, and flow tables: cheap, however many rules there are. Legacy iptables' chains are not among them. */
export async function readRuleNames(system: System): Promise<NodeRules> {
  const failures: string[] = [];
  const parts = [
    readNft(await output(system, failures, 'nft', ['list', 'chains'])),
    { ...NO_RULES, flowTables: readNft(await output(system, failures, 'nft', ['list', 'flowtables'])).flowTables },
  ];
  return { rules: joinRules(parts), failures };
}

/** Empty where the tool, or the kernel's part for it, is missing: then there are no rules of it. */
async function output(system: System, failures: string[], command: string, args: readonly string[]): Promise<string> {
  try {
    return await system.run(command, args);
  } catch (error) {
    if (!isUnsupported(error)) {
      failures.push(`The rules could not be read: ${error instanceof Error ? error.message.split('\n')[0] : error}.`);
    }
    return '';
  }
}
