/**
 * The JSON file of a benchmark, with the same shape for all. Values are plain numbers in the row's
 * unit; ratios have the unit `ratio`.
 *
 *     { "shape": 1, "bench": "filter", "date": "2026-01-31T12:00:00.000Z", "quick": false,
 *       "machine": { "cpu": "...", "cores": 2, "memoryBytes": 8e9, "kernel": "Linux 6.18.0",
 *                    "node": "24.1.0", "podfence": "0.1.0", "commit": "..." },
 *       "parameters": { "packets": 2000000 },
 *       "rows": [{ "name": "decode, TCP", "unit": "ns", "value": 11.2,
 *                  "spread": { "min": 11, "max": 12, "runs": [11, 11.2, 12] },
 *                  "target": { "atMost": 100, "reached": true } }],
 *       "curves": [{ "name": "kernel only", "x": "round trip, us", "y": "share",
 *                    "points": [[7, 0.5], [9, 0.99]] }],
 *       "notes": ["what a reader must know"] }
 */
import type { Machine } from './machine.ts';
import { median } from './statistics.ts';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface Spread {
  readonly min: number;
  readonly max: number;
  /** The value of each run, in order; [] if the row comes from a single distribution. */
  readonly runs: readonly number[];
}

export interface MeasuredRow {
  /** Unique in the file, and the same in every run. */
  readonly name: string;
  /** ns, us, ms, s, bytes, packets/s, connections/s, Gbit/s, ratio, ... */
  readonly unit: string;
  readonly value: number;
  readonly spread: Spread;
}

/** At most one of the bounds is set. */
export interface Bound {
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** Whether a value is within the bound; undefined if there is no bound. */
export function reaches({ atMost, atLeast }: Bound, value: number): boolean | undefined {
  if (atMost === undefined && atLeast === undefined) return undefined;
  return value <= (atMost ?? value) && value >= (atLeast ?? value);
}

export interface Row extends MeasuredRow {
  readonly target?: Bound & { readonly reached: boolean };
}

/** The data of a line in a plot: a distribution, or values over time. */
export interface Curve {
  readonly name: string;
  readonly x: string;
  readonly y: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** What a benchmark returns. */
export interface Measured {
  /** How it was measured: sizes, durations, rounds. */
  readonly parameters: Readonly<Record<string, Json>>;
  readonly rows: readonly MeasuredRow[];
  readonly curves?: readonly Curve[];
  readonly notes?: readonly string[];
}

export interface BenchResult extends Measured {
  readonly shape: 1;
  readonly bench: string;
  /** When it ended, in ISO 8601. */
  readonly date: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly rows: readonly Row[];
  readonly curves: readonly Curve[];
  readonly notes: readonly string[];
}

/** Returns a row for several runs: their median, with the least and the most. */
export function row(name: string, unit: string, runs: readonly number[]): MeasuredRow {
  return { name, unit, value: median(runs), spread: { min: Math.min(...runs), max: Math.max(...runs), runs } };
}

/** Returns a row for a count: the sum of its runs, with the least and the most of a single run. */
export function total(name: string, unit: string, runs: readonly number[]): MeasuredRow {
  return { ...row(name, unit, runs), value: runs.reduce((sum, each) => sum + each, 0) };
}

/**
 * Returns a row with one figure, and its range if it has one: a quantile with those of single
 * rounds, for example.
 */
export function single(name: string, unit: string, value: number, [min, max] = [value, value]): MeasuredRow {
  return { name, unit, value, spread: { min, max, runs: [] } };
}
