/**
 * Generates the table of targets and results from the result files. Documents contain it between
 * two markers, so that its figures are always those of the committed run:
 *
 *     <!-- targets -->
 *     ...
 *     <!-- /targets -->
 */
import { overTime } from '../soak/over-time.ts';
import { TARGETS, type Target } from '../targets.ts';
import { formatBound, formatValue, markdownTable } from './format.ts';
import { type BenchResult, type MeasuredRow, reaches } from './result.ts';
import { originOf } from './terminal.ts';

const BEGIN = '<!-- targets -->';
const END = '<!-- /targets -->';

/**
 * Returns Markdown: the targets, the course of the soak, and the machine, day and commit of the
 * results. `results` is by benchmark name; a target whose benchmark has no result is shown as not
 * measured.
 */
export function targetTable(results: ReadonlyMap<string, BenchResult>): string {
  const lines = TARGETS.map((target) => {
    const found = results.get(target.bench)?.rows.find(({ name }) => name === target.row);
    return [target.what, formatBound(target, target.unit), ...outcome(target, found), target.bench];
  });
  const table = markdownTable(['', 'to reach', 'measured', 'least to most', '', 'bench'], lines);
  const soak = results.get('soak');
  const origins = [...results.values()].map((result) => `${originOf(result)}.`).filter(isNew);
  return [table, soak === undefined ? '' : overTime(soak), [...origins, commitsOf(results)].join('\n')]
    .filter((part) => part !== '')
    .join('\n\n');
}

/**
 * Whether the results come from more than one state of the code, or from one that is in no commit.
 */
export function mixedCommits(results: ReadonlyMap<string, BenchResult>): boolean {
  const commits = new Set([...results.values()].map(({ machine }) => machine.commit));
  return commits.size > 1 || [...commits].some((commit) => commit === '' || commit.endsWith('+'));
}

function commitsOf(results: ReadonlyMap<string, BenchResult>): string {
  const byCommit = Map.groupBy(results.values(), ({ machine }) => machine.commit || 'without a commit');
  const commits = [...byCommit].map(([commit, of]) => `${commit} (${of.map(({ bench }) => bench).join(', ')})`);
  const changed = [...byCommit.keys()].some((commit) => commit.endsWith('+')) ? ' A + is a tree with changes.' : '';
  if (byCommit.size > 1) return `**Not from one commit**: ${commits.join(', ')}.${changed}`;
  return `Commit ${[...byCommit.keys()].join()}.${changed}`;
}

/** Compares to the current target: the file contains the target of its own day. */
function outcome(target: Target, row: MeasuredRow | undefined): [measured: string, spread: string, mark: string] {
  if (row === undefined) return ['not measured', '', ''];
  const { min, max } = row.spread;
  const spread = min === max ? '' : `${formatValue(min, row.unit)} to ${formatValue(max, row.unit)}`;
  const reached = reaches(target, row.value);
  const mark = reached === undefined ? '' : reached ? '✓' : '✗';
  return [formatValue(row.value, row.unit), spread, mark];
}

function isNew(text: string, index: number, all: readonly string[]): boolean {
  return all.indexOf(text) === index;
}

/** Replaces the table between the markers of a document. @throws Error without markers */
export function withTable(document: string, table: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END, begin);
  if (begin < 0 || end < 0) throw new Error(`there are no lines ${BEGIN} and ${END} around the table`);
  return `${document.slice(0, begin + BEGIN.length)}\n${table}\n${document.slice(end)}`;
}
