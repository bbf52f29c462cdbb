/** How long tests wait for what must happen: longer on a slow or busy machine. */
import { vi } from 'vitest';
import { PATIENCE_FACTOR } from './machine-speed.ts';

/** Returns `milliseconds` times the factor measured when the run began. */
export function patience(milliseconds: number): number {
  return Math.ceil(milliseconds * Number(process.env[PATIENCE_FACTOR] ?? 1));
}

/** Resolves with the result of `holds` once it does not throw. Rejects with its last error. */
export function eventually<T>(holds: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(holds, { timeout: patience(20_000), interval: 20 });
}
