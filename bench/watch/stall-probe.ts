/**
 * Loaded into the agent's process before anything else (`node --import`): records how long the main
 * thread was busy with one thing. On SIGUSR2 it writes the stalls since the last signal to the file
 * that BENCH_STALLS_FILE names.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { threadCpuUs } from '../harness/cpu-time.ts';

/** One long turn of the event loop. */
export interface Stall {
  /** When it ended, in ms since the epoch. */
  readonly at: number;
  /** In ms: the time between two turns, less the interval. */
  readonly wall: number;
  /** In ms: how long the thread itself ran meanwhile; the rest of the time it waited for a core. */
  readonly cpu: number;
}

/** Interval between two undisturbed turns, in ms. */
const INTERVAL = 1;
/** Shorter stalls are not recorded, in ms. */
const SHORTEST = 2;

const file = process.env.BENCH_STALLS_FILE;
if (isMainThread && file !== undefined) watchFrom(file);

function watchFrom(path: string): void {
  let stalls: Stall[] = [];
  let turn = performance.now();
  let cpu = threadCpuUs();
  setInterval(() => {
    const now = performance.now();
    const spent = threadCpuUs();
    if (now - turn > SHORTEST + INTERVAL)
      stalls.push({ at: Date.now(), wall: now - turn - INTERVAL, cpu: (spent - cpu) / 1000 });
    turn = now;
    cpu = spent;
  }, INTERVAL).unref();
  process.on('SIGUSR2', () => {
    writeFileSync(`${path}.new`, JSON.stringify(stalls));
    renameSync(`${path}.new`, path);
    stalls = [];
  });
}
