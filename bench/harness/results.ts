/**
 * The result files: `<folder>/<bench>.json` and `.svg`. Each is replaced as a whole or not at all.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../src/commands/shared/exit-code.ts';
import { type Target, targetOf } from '../targets.ts';
import { describeMachine, type Machine } from './machine.ts';
import { type BenchResult, type Bound, type Measured, type MeasuredRow, type Row, reaches } from './result.ts';

/**
 * Adds what the harness knows to what was measured. @throws Error if two rows have the same name,
 * or a value is not a finite number
 */
export function completed(
  bench: string,
  quick: boolean,
  measured: Measured,
  machine: Machine = describeMachine(),
): BenchResult {
  const { parameters, rows, curves = [], notes = [] } = measured;
  checkRows(bench, rows);
  return {
    shape: 1,
    bench,
    date: new Date().toISOString(),
    quick,
    machine,
    parameters,
    rows: rows.map((each) => withTarget(each, targetOf(bench, each.name))),
    curves,
    notes,
  };
}

function checkRows(bench: string, rows: readonly MeasuredRow[]): void {
  const names = new Set<string>();
  for (const { name, value, spread } of rows) {
    if (names.has(name)) throw new Error(`${bench}: two rows are called "${name}"`);
    names.add(name);
    if (![value, spread.min, spread.max].every(Number.isFinite))
      throw new Error(`${bench}: "${name}" is ${value} (${spread.min} to ${spread.max}), which is not a finite number`);
  }
}

function withTarget(row: MeasuredRow, target: Target | undefined): Row {
  if (target === undefined) return row;
  const { atMost, atLeast } = target;
  const reached = reaches(target, row.value);
  if (reached === undefined) return row;
  const bound: Bound = { ...(atMost !== undefined && { atMost }), ...(atLeast !== undefined && { atLeast }) };
  return { ...row, target: { ...bound, reached } };
}

/** Returns the path of the file. */
export function writeResult(folder: string, result: BenchResult): string {
  return writeWhole(folder, `${result.bench}.json`, `${JSON.stringify(result, compactNumbers, 1)}\n`);
}

/** Returns the path of the file. */
export function writePlot(folder: string, bench: string, svg: string): string {
  return writeWhole(folder, `${bench}.svg`, svg);
}

/**
 * Returns the last result of a benchmark; undefined if there is none. @throws Error if the file is
 * not a result
 */
export function readResult(folder: string, bench: string): BenchResult | undefined {
  const file = join(folder, `${bench}.json`);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const result = JSON.parse(text) as BenchResult;
    if (result.shape === 1 && result.bench === bench) return result;
  } catch {
    // Reported below.
  }
  throw new Error(
    `${file} is not a result of this version's benchmark ${bench}: run the benchmark again, or remove the file`,
  );
}

/**
 * Returns the results of a folder that documents may show, by benchmark.
 * @throws InputError if there is none, or one is from a quick run
 */
export function readReference(folder: string, benches: readonly string[]): ReadonlyMap<string, BenchResult> {
  const results = new Map<string, BenchResult>();
  for (const bench of benches) {
    const result = readResult(folder, bench);
    if (result?.quick)
      throw new InputError(
        `${join(folder, bench)}.json is from a quick run, whose figures are rough: run the benchmark in full, or remove the file`,
      );
    if (result !== undefined) results.set(bench, result);
  }
  if (results.size === 0) throw new InputError(`${folder} contains no results: run the benchmarks first`);
  return results;
}

/** Digits beyond the precision of the measurement would only make the files long. */
function compactNumbers(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(7)) : value;
}

function writeWhole(folder: string, name: string, text: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  const unfinished = `${path}.${process.pid}.new`;
  try {
    writeFileSync(unfinished, text);
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return path;
}
