import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BENCHES } from '../../bench/benches.ts';
import { formatValue } from '../../bench/harness/format.ts';
import { describeMachine } from '../../bench/harness/machine.ts';
import { mixedCommits, targetTable, withTable } from '../../bench/harness/report.ts';
import { row } from '../../bench/harness/result.ts';
import { completed, readReference } from '../../bench/harness/results.ts';
import { resultTable } from '../../bench/harness/terminal.ts';
import { rowsOf, type Sample } from '../../bench/soak/sample.ts';
import { TARGETS } from '../../bench/targets.ts';
import { MEASURED } from './measured.ts';

const ROOT = join(import.meta.dirname, '../..');
const DOCUMENT = join(ROOT, 'bench/README.md');

test.each([
  [95.26, 'ns', '95.3 ns'],
  [1234.5, 'ms', '1,235 ms'],
  [0.0042, 'ms', '0.0042 ms'],
  [0.973, 'ratio', '0.973'],
  [0, 'packets', '0 packets'],
  [484_700_000, 'bytes', '485 MB'],
  [25_300_000_000, 'bytes', '25.3 GB'],
  [999, 'bytes', '999 bytes'],
])('%d %s is written %s', (value, unit, text) => {
  expect(formatValue(value, unit)).toBe(text);
});

test('the table in the terminal shows values, their range, and targets with a mark for reached or missed', () => {
  expect(resultTable(completed('compile', false, MEASURED)).split('\n')).toEqual([
    '                            measured         least to most              target',
    'full compile                1,800 ms  1,700 ms to 2,100 ms  2,000 ms or less ✓',
    'peak memory of the process    612 MB      600 MB to 612 MB    500 MB or less ✗',
    'something else                 0.123',
  ]);
});

describe('the table of targets', () => {
  const table = targetTable(new Map([['compile', completed('compile', false, MEASURED)]]));

  test('has each target once, including those that were not measured', () => {
    const lines = table.split('\n').filter((line) => line.startsWith('|'));
    expect(lines).toHaveLength(TARGETS.length + 2);
    expect(lines).toContain(
      '| full compile of the large cluster | 2,000 ms or less | 1,800 ms | 1,700 ms to 2,100 ms | ✓ | compile |',
    );
    expect(lines).toContain('| process memory meanwhile | 500 MB or less | 612 MB | 600 MB to 612 MB | ✗ | compile |');
    expect(lines).toContain('| packets lost at that rate | none | not measured |  |  | queue |');
  });

  test('compares values with the current targets, not with those in the result file', () => {
    const result = completed('compile', false, MEASURED);
    const rows = result.rows.map((each) => ({ ...each, target: { atMost: 1, reached: each.value > 1e6 } }));
    const lines = targetTable(new Map([['compile', { ...result, rows }]])).split('\n');
    expect(lines).toContain(
      '| full compile of the large cluster | 2,000 ms or less | 1,800 ms | 1,700 ms to 2,100 ms | ✓ | compile |',
    );
    expect(lines).toContain('| process memory meanwhile | 500 MB or less | 612 MB | 600 MB to 612 MB | ✗ | compile |');
  });

  test('shows a figure without a bound, and no mark beside it', () => {
    const rows = [row('a sweeping selector, p99 of the slowest kind', 'ms', [60, 70, 80])];
    const swept = targetTable(new Map([['compile', completed('compile', false, { ...MEASURED, rows })]]));
    expect(swept).toContain(
      '| a new selector of much of the cluster, p99 on the main thread |  | 70 ms | 60 ms to 80 ms |  | compile |',
    );
  });

  test('names the machine and the day', () => {
    expect(table).toContain(`Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}.`);
  });

  const of = (...commits: readonly string[]) =>
    new Map(
      commits.map((commit, index) => {
        const machine = { ...describeMachine(), commit };
        return [`bench-${index}`, completed(`bench-${index}`, false, MEASURED, machine)];
      }),
    );

  test('names the commit', () => {
    expect(targetTable(of('abc', 'abc'))).toMatch(/^Commit abc\.$/m);
    expect(mixedCommits(of('abc', 'abc'))).toBe(false);
  });

  test.each([
    [['abc', 'def'], '**Not from one commit**: abc (bench-0), def (bench-1).'],
    [['abc+'], 'Commit abc+. A + is a tree with changes.'],
    [['', 'abc'], '**Not from one commit**: without a commit (bench-0), abc (bench-1).'],
  ])('warns of results from %j', (commits, footer) => {
    expect(mixedCommits(of(...commits))).toBe(true);
    expect(targetTable(of(...commits))).toContain(footer);
  });

  test('shows a soak at its start, in the middle and at its end', () => {
    const sample = (minute: number): Sample => ({
      ...{ minute, memory: 100e6 + minute * 1e6, heap: 20e6, flows: 10, p50: 60, p99: 90 },
      ...{ unanswered: 0, lost: minute, dropped: 0 },
    });
    const rows = rowsOf(Array.from({ length: 60 }, (_, i) => sample(i)));
    const soak = completed('soak', false, { parameters: { minutes: 60 }, rows });
    const lines = targetTable(new Map([['soak', soak]])).split('\n');
    expect(lines).toContain('| soak, 60 minutes | at the start | in the middle | at the end |');
    expect(lines).toContain('| memory of the process | 102 MB | 129 MB | 156 MB |');
    expect(lines).toContain('| datagrams of streams lost so far | 5 packets | 32 packets | 59 packets |');
  });

  test('replaces only the text between the markers of a document', () => {
    const document = 'before\n<!-- targets -->\nold\n<!-- /targets -->\nafter\n';
    const written = withTable(document, 'new');
    expect(written).toBe('before\n<!-- targets -->\nnew\n<!-- /targets -->\nafter\n');
    expect(withTable(written, 'new')).toBe(written);
    expect(() => withTable('no markers', 'new')).toThrow('<!-- targets -->');
  });
});

test('a target has at most one bound, and a row has at most one target', () => {
  for (const { atMost, atLeast } of TARGETS) expect([atMost, atLeast]).toContain(undefined);
  expect(new Set(TARGETS.map(({ bench, row }) => `${bench} ${row}`)).size).toBe(TARGETS.length);
});

test('bench/README.md shows the table of the committed results', () => {
  const results = readReference(join(ROOT, 'bench/results'), Object.keys(BENCHES));
  const document = readFileSync(DOCUMENT, 'utf8');
  expect(document).toBe(withTable(document, targetTable(results)));
});
