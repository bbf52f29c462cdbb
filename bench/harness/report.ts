/**
 * The table of targets and what was reached, generated from the files of results. It stands in documents between two markers, so that a
 * figure in them is always that of the committed run:
 *
 *     <!-- targets -->
 *     ...
 *     <!-- /targets -->
 */
import { TARGETS } from '../targets.ts';
import { formatBound, formatValue, markdownTable } from './format.ts';
import type { BenchResult, Row } from './result.ts';
import { originOf } from './terminal.ts';

const BEGIN = '<!-- targets -->';
const END = '<!-- /targets -->';

/** Markdown. `results` by the name of the benchmark; a target whose benchmark has none is shown as not measured. */
export function targetTable(results: ReadonlyMap<string, BenchResult>): string {
  const lines = TARGETS.map((target) => {
    const found = results.get(target.bench)?.rows.find(({ name }) => name === target.row);
    return [target.what, formatBound(target, target.unit), ...outcome(found), target.bench];
  });
  const table = markdownTable(['', 'to reach', 'measured', 'least to most', '', 'bench'], lines);
  return `${table}\n\n${[...results.values()]
    .map((result) => `${originOf(result)}.`)
    .filter(isNew)
    .join('\n')}`;
}

function outcome(row: Row | undefined): [measured: string, spread: string, mark: string] {
  if (row === undefined) return ['not measured', '', ''];
  const { min, max } = row.spread;
  const spread = min === max ? '' : `${formatValue(min, row.unit)} to ${formatValue(max, row.unit)}`;
  return [formatValue(row.value, row.unit), spread, row.target?.reached ? '✓' : '✗'];
}

function isNew(text: string, index: number, all: readonly string[]): boolean {
  return all.indexOf(text) === index;
}

export function hasMarkers(document: string): boolean {
  return document.includes(BEGIN);
}

/** The document with the table between its markers. @throws Error without them */
export function withTable(document: string, table: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END, begin);
  if (begin < 0 || end < 0) throw new Error(`there are no lines ${BEGIN} and ${END}, between which the table belongs`);
  return `${document.slice(0, begin + BEGIN.length)}\n${table}\n${document.slice(end)}`;
}
