/** The summary by policy of captured traffic. */
import type { PolicyTotal } from '../../flows/flow-totals.ts';
import { Columns } from './columns.ts';

/** Lines of a table; none where no policy had to do with anything. */
export function policyTable(totals: readonly PolicyTotal[]): string {
  if (totals.length === 0) return '';
  const number = (count: number) => count.toLocaleString('en');
  const isAudited = totals.some(({ wouldBeDenied }) => wouldBeDenied > 0);
  const lines = [
    ['POLICY', 'ALLOWED', 'DENIED', ...(isAudited ? ['WOULD DENY'] : [])],
    ...totals.map(({ policy, allowed, denied, wouldBeDenied }) => [
      ...[policy, number(allowed), number(denied)],
      ...(isAudited ? [number(wouldBeDenied)] : []),
    ]),
  ];
  const columns = new Columns();
  columns.widen(lines);
  return lines.map((line) => `${columns.line(line)}\n`).join('');
}
