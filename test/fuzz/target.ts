/**
 * The code that is fuzzed. Inputs are bytes, whatever they mean, so that any of them can be kept as
 * a file, cut and run again.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Random } from './random.ts';

export interface Target {
  /** Returns a new input: mostly well-formed, then damaged. */
  generate(random: Random): Uint8Array;
  /** Runs the code under test. Throws if it misbehaves; keeps no state for the next input. */
  run(input: Uint8Array): void | Promise<void>;
}

/** A violated property. */
class Violation extends Error {
  override readonly name = 'Violation';
}

export function check(holds: boolean, message: string | (() => string)): asserts holds {
  if (!holds) throw new Violation(typeof message === 'string' ? message : message());
}

/** Compares results, which must be plain data. */
export function checkSame(actual: unknown, expected: unknown, message: string): void {
  check(
    isDeepStrictEqual(actual, expected),
    () => `${message}\n  is:     ${shown(actual)}\n  wanted: ${shown(expected)}`,
  );
}

function shown(value: unknown): string {
  const text = JSON.stringify(value, (_, each) => (Number.isNaN(each) ? 'NaN' : each)) ?? 'undefined';
  return text.length > 4000 ? `${text.slice(0, 4000)}…${text.length}` : text;
}
