/** Formats figures for people. */
import type { Bound } from './result.ts';

/** Rounds to three significant digits, with thousands separators and without exponents. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en');
  return Number(value.toPrecision(3)).toString();
}

/** Formats a value with its unit. Bytes become kB, MB or GB, each a thousand of the one before. */
export function formatValue(value: number, unit: string): string {
  if (unit === 'ratio') return formatNumber(value);
  if (unit !== 'bytes') return `${formatNumber(value)} ${unit}`;
  const power = value < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(value) / 3));
  return `${formatNumber(value / 1000 ** power)} ${['bytes', 'kB', 'MB', 'GB'][power]}`;
}

export function formatBound({ atMost, atLeast }: Bound, unit: string): string {
  if (atMost === 0) return 'none';
  if (atMost !== undefined) return `${formatValue(atMost, unit)} or less`;
  return atLeast === undefined ? '' : `${formatValue(atLeast, unit)} or more`;
}

/**
 * Returns rows of cells as a plain-text table: the first column is left-aligned, the others
 * right-aligned.
 */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [head, ...rows].map(line).join('\n');
}

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}
