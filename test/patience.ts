/** How long tests wait for what must happen: longer on a machine that is slow or busy. */
import { vi } from 'vitest';
import { PATIENCE_FACTOR } from './machine-speed.ts';

/** The milliseconds that a test names, times the factor measured when the run began. */
export function patience(milliseconds: number): number {
  return milliseconds * Number(process.env[PATIENCE_FACTOR] ?? 1);
}

/** Resolves once `holds` does not throw, with what it returns; rejects with what it throws in the end. */
export function eventually<T>(holds: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(holds, { timeout: patience(20_000), interval: 20 });
}
