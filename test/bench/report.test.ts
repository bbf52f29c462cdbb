import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { formatValue } from '../../bench/harness/format.ts';
import { hasMarkers, targetTable, withTable } from '../../bench/harness/report.ts';
import type { BenchResult } from '../../bench/harness/result.ts';
import { completed, readResult } from '../../bench/harness/results.ts';
import { resultTable } from '../../bench/harness/terminal.ts';
import { TARGETS } from '../../bench/targets.ts';
import { MEASURED } from './measured.ts';

const ROOT = join(import.meta.dirname, '../..');
const DOCUMENTS = ['README.md', 'bench/README.md'];

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

test('the table in the terminal has values, their range, and targets with whether they are reached', () => {
  expect(resultTable(completed('compile', false, MEASURED)).split('\n')).toEqual([
    '                            measured         least to most              target',
    'full compile                1,800 ms  1,700 ms to 2,100 ms  2,000 ms or less ✓',
    'peak memory of the process    612 MB      600 MB to 612 MB    500 MB or less ✗',
    'something else                 0.123',
  ]);
});

describe('the table of targets', () => {
  const table = targetTable(new Map([['compile', completed('compile', false, MEASURED)]]));

  test('has each target once, also those that were not measured', () => {
    const lines = table.split('\n').filter((line) => line.startsWith('|'));
    expect(lines).toHaveLength(TARGETS.length + 2);
    expect(lines).toContain(
      '| full compile of the large cluster | 2,000 ms or less | 1,800 ms | 1,700 ms to 2,100 ms | ✓ | compile |',
    );
    expect(lines).toContain('| process memory meanwhile | 500 MB or less | 612 MB | 600 MB to 612 MB | ✗ | compile |');
    expect(lines).toContain('| drops at half that rate | none | not measured |  |  | queue |');
  });

  test('says of which machine and day it is', () => {
    expect(table).toContain(`Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}.`);
  });

  test('replaces what is between the markers of a document and nothing else', () => {
    const document = 'before\n<!-- targets -->\nold\n<!-- /targets -->\nafter\n';
    const written = withTable(document, 'new');
    expect(written).toBe('before\n<!-- targets -->\nnew\n<!-- /targets -->\nafter\n');
    expect(withTable(written, 'new')).toBe(written);
    expect(() => withTable('no markers', 'new')).toThrow('<!-- targets -->');
  });
});

test('targets have a bound each, and no two are of one row', () => {
  for (const { atMost, atLeast } of TARGETS)
    expect([atMost, atLeast].filter((bound) => bound === undefined)).toHaveLength(1);
  expect(new Set(TARGETS.map(({ bench, row }) => `${bench} ${row}`)).size).toBe(TARGETS.length);
});

test('documents that show the table show it as the committed results have it', () => {
  const results = new Map<string, BenchResult>();
  for (const { bench } of TARGETS) {
    const result = readResult(join(ROOT, 'bench/results'), bench);
    if (result !== undefined) results.set(bench, result);
  }
  for (const path of DOCUMENTS) {
    const document = readFileSync(join(ROOT, path), 'utf8');
    if (hasMarkers(document)) expect(document, path).toBe(withTable(document, targetTable(results)));
  }
});
