/** Loaded into an agent by `--import`: SIGTERM comes while the kernel's rules are looked at, the first time after the start. */
import { subscribe } from 'node:diagnostics_channel';
import type { StartStep } from '../../src/agent/start-steps.ts';

/** In ms from the start; what doctor's checks run at the start is over then, and the look, after 10 s, is not. */
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
