/** The summary by policy of captured traffic. */
import type { PolicyTotal } from '../capture/flow-totals.ts';
import { Columns } from './columns.ts';

/** Lines of a table; none where no policy had to do with anything. */
export function policyTable(totals: readonly PolicyTotal[]): string {
  if (totals.length === 0) return '';
  const lines = [
    ['POLICY', 'ALLOWED', 'DENIED'],
    ...totals.map(({ policy, allowed, denied }) => [policy, allowed.toLocaleString('en'), denied.toLocaleString('en')]),
  ];
  const columns = new Columns();
  columns.widen(lines);
  return lines.map((line) => `${columns.line(line)}\n`).join('');
}
