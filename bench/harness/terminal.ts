/** Formats a result for the terminal. */
import { TARGETS } from '../targets.ts';
import { formatBound, formatValue, textTable } from './format.ts';
import type { BenchResult } from './result.ts';

/** Returns the machine and the day, in one line. */
export function originOf({ date, quick, machine }: BenchResult): string {
  const { cpu, cores, memoryBytes, kernel, node } = machine;
  const size = `${cores} cores, ${formatValue(memoryBytes, 'bytes')} of memory`;
  return `${cpu}, ${size}, ${kernel}, Node ${node}, ${date.slice(0, 10)}${quick ? ' (a quick run)' : ''}`;
}

export function resultTable({ rows }: BenchResult): string {
  const lines = rows.map(({ name, unit, value, spread, target }) => [
    name,
    formatValue(value, unit),
    spread.min === spread.max ? '' : `${formatValue(spread.min, unit)} to ${formatValue(spread.max, unit)}`,
    target === undefined ? '' : `${formatBound(target, unit)} ${target.reached ? '✓' : '✗'}`,
  ]);
  return textTable(['', 'measured', 'least to most', 'target'], lines);
}

/** Returns the rows that have a target and are not in the result. */
export function missingTargets({ bench, rows }: BenchResult): string[] {
  return TARGETS.filter((target) => target.bench === bench && !rows.some(({ name }) => name === target.row)).map(
    ({ row }) => row,
  );
}
