/**
 * Loaded into an agent by `--import`: sends SIGTERM during the first check of the kernel's rules
 * after the start.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { StartStep } from '../../src/agent/start-steps.ts';

/**
 * In ms from the start: doctor's checks at the start are over by then, and the first check of the
 * rules, after 10 s, is yet to come.
 */
const LATER = 8000;

let startedAt = Number.POSITIVE_INFINITY;
subscribe('podfence:start-step', (step) => {
  if (step === ('bringing early changes into force' satisfies StartStep)) startedAt = performance.now();
});
subscribe('podfence:tool', () => {
  if (performance.now() - startedAt < LATER) return;
  startedAt = Number.POSITIVE_INFINITY;
  process.kill(process.pid, 'SIGTERM');
});
