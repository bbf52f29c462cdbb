/**
 * Loaded into an agent by `--import`: on SIGUSR2 its worker threads end, wherever they are, without
 * running any more of their code.
 */
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  const { endWorkers } = await import('./running-workers.ts');
  process.on('SIGUSR2', endWorkers);
}
