/**
 * Flow tables of nftables: they carry packets of known connections from the ingress hook straight
 * to the egress device, past every hook in between.
 */
import { type Finding, finding } from './finding.ts';
import type { RuleFacts, RuleKind } from './rule-dumps.ts';

/**
 * @param unread kinds whose rules could not be read: without nftables' rules, an empty list proves
 * nothing
 */
export function flowTables({ flowTables }: RuleFacts, unread: ReadonlySet<RuleKind> = new Set()): Finding[] {
  if (flowTables.length === 0 && unread.has('nftables')) return [];
  if (flowTables.length === 0)
    return [finding('flow-table', 'ok', 'certain', 'No flow table carries connections past podfence.')];
  return flowTables.map(({ name, devices, rules }) => {
    const on = devices.length === 0 ? 'no device' : devices.join(', ');
    return finding(
      'flow-table',
      'warning',
      rules > 0 ? 'certain' : 'possible',
      `The flow table ${name} (on ${on}) carries connections past the hook forward${rules > 0 ? '' : ', if a rule adds any to it'}. podfence judges a connection before it is added; a policy change that ` +
        'denies it later does not end it while it stays in the flow table. If podfence steers with iptables, even a packet that podfence drops can add the connection again.',
      `Keep pods out of it: add a rule that returns for their addresses before "flow add", or remove their interfaces from its devices.`,
    );
  });
}
