/**
 * The state of agent and traffic at the start, in the middle and at the end of a soak, as a table
 * for documents.
 */
import { formatValue, markdownTable } from '../harness/format.ts';
import type { BenchResult } from '../harness/result.ts';
import { END, MIDDLE, OVER_TIME, START } from './sample.ts';

/** Returns Markdown; '' if the rows are missing. */
export function overTime({ rows, parameters }: BenchResult): string {
  const lines = OVER_TIME.flatMap((what) => {
    const found = [START, MIDDLE, END].map((when) => rows.find(({ name }) => name === `${what}, ${when}`));
    if (found.includes(undefined)) return [];
    return [[what, ...found.map((row) => (row === undefined ? '' : formatValue(row.value, row.unit)))]];
  });
  if (lines.length === 0) return '';
  const minutes = Number(parameters.minutes);
  return markdownTable([`soak, ${minutes} ${minutes === 1 ? 'minute' : 'minutes'}`, START, MIDDLE, END], lines);
}
