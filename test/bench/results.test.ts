import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { single } from '../../bench/harness/result.ts';
import { completed, readReference, readResult, writePlot, writeResult } from '../../bench/harness/results.ts';
import { MEASURED } from './measured.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podfence-bench-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a result', () => {
  const result = completed('compile', false, MEASURED);

  test('says what was measured, where and when', () => {
    expect(result).toMatchObject({ shape: 1, bench: 'compile', quick: false, parameters: MEASURED.parameters });
    expect(new Date(result.date).toISOString()).toBe(result.date);
    expect(result.machine).toMatchObject({ cpu: expect.any(String), node: process.versions.node });
    expect(result.machine.cores).toBeGreaterThan(0);
    expect(result.machine.memoryBytes).toBeGreaterThan(1e8);
  });

  test('has a target, and whether it was reached, beside each row that has one', () => {
    expect(result.rows.map(({ target }) => target)).toEqual([
      { atMost: 2000, reached: true },
      { atMost: 500e6, reached: false },
      undefined,
    ]);
  });

  test('has empty lists for what a benchmark left out', () => {
    expect(completed('compile', true, { parameters: {}, rows: [] })).toMatchObject({ curves: [], notes: [] });
  });

  test.each([
    ['two rows of one name', [single('x', 'ns', 1), single('x', 'ns', 2)], 'two rows are called "x"'],
    ['a row that is no number', [single('x', 'ns', Number.NaN)], '"x" is NaN'],
  ])('of %s is an error', (_, rows, message) => {
    expect(() => completed('compile', false, { parameters: {}, rows })).toThrow(message);
  });
});

describe('the file of a result', () => {
  test('is read as it was written, with seven digits of each figure', () => {
    const result = completed('compile', false, MEASURED);
    writeResult(join(folder, 'new'), result);
    const read = readResult(join(folder, 'new'), 'compile');
    expect(read?.rows[2]?.value).toBe(0.1234568);
    expect(read).toMatchObject({ date: result.date, curves: MEASURED.curves, rows: [...result.rows.slice(0, 2), {}] });
  });

  test('replaces the previous one and leaves no other file', () => {
    for (const rows of [[], MEASURED.rows]) {
      writeResult(folder, completed('compile', false, { parameters: {}, rows }));
      writePlot(folder, 'compile', '<svg/>');
    }
    expect(readdirSync(folder)).toEqual(['compile.json', 'compile.svg']);
    expect(JSON.parse(readFileSync(join(folder, 'compile.json'), 'utf8')).rows).toHaveLength(3);
  });

  test('is replaced in one step: a reader sees the old one or the new one, whole', () => {
    writePlot(folder, 'compile', 'as it was');
    const reader = openSync(join(folder, 'compile.svg'), 'r');
    writePlot(folder, 'compile', 'new');
    expect(readFileSync(reader, 'utf8')).toBe('as it was');
    closeSync(reader);
  });

  test('leaves no temporary file if it cannot be put in place', () => {
    mkdirSync(join(folder, 'compile.svg'));
    expect(() => writePlot(folder, 'compile', 'new')).toThrow();
    expect(readdirSync(folder)).toEqual(['compile.svg']);
  });

  test('may be missing', () => {
    expect(readResult(folder, 'compile')).toBeUndefined();
  });

  test.each(['{"shape":1', '{"shape":2,"bench":"compile"}', '{"shape":1,"bench":"filter"}'])(
    'is refused if it contains %s',
    (text) => {
      writeFileSync(join(folder, 'compile.json'), text);
      expect(() => readResult(folder, 'compile')).toThrow(/compile\.json is not a result/);
    },
  );
});

describe('the reference run', () => {
  test('consists of the results in a folder', () => {
    writeResult(folder, completed('compile', false, MEASURED));
    expect([...readReference(folder, ['filter', 'compile']).keys()]).toEqual(['compile']);
  });

  test('refuses quick results', () => {
    writeResult(folder, completed('compile', true, MEASURED));
    expect(() => readReference(folder, ['compile'])).toThrow(/compile\.json is from a quick run/);
  });

  test('refuses an empty folder', () => {
    expect(() => readReference(folder, ['compile'])).toThrow('contains no results');
  });
});
