/** Flow tables of nftables: they carry packets of known connections from the ingress hook to the way out, past every hook in between. */
import { type Finding, finding } from './finding.ts';
import type { RuleFacts, RuleKind } from './rule-dumps.ts';

/** @param unread whose rules could not be read: then there may be some all the same */
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
      `The flow table ${name} (on ${on}) carries connections past the hook forward${rules > 0 ? '' : ', where rules put any into it'}. podfence judges a connection before it gets there; a change of policies that ` +
        'denies it later does not end it, as long as it stays in the flow table; where podfence steers by iptables, a packet that it drops can put it back there.',
      `Take pods out of it: a rule that returns for their addresses before "flow add", or their interfaces out of its devices.`,
    );
  });
}
