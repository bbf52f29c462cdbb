/** Summary of captured traffic by policy. */
import type { PolicyTotal } from '../../flows/flow-totals.ts';
import { Columns } from './columns.ts';

/** Returns the lines of the table; none if no policy was involved. */
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
