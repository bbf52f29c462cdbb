/**
 * Loaded into the agent's process before anything else (`node --import`): notes how long the main thread was busy with one thing. On SIGUSR2 it writes
 * what it has noted since the last time into the file that BENCH_STALLS_FILE names.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { threadCpuUs } from '../harness/cpu-time.ts';

/** One turn of the event loop that took long. */
export interface Stall {
  /** When it ended, in ms since the epoch. */
  readonly at: number;
  /** In ms: from one turn to the next, less the interval. */
  readonly wall: number;
  /** In ms: what the thread itself ran meanwhile; the rest it waited for a core. */
  readonly cpu: number;
}

/** Between two turns, in ms, where nothing holds them up. */
const INTERVAL = 1;
/** What is shorter is not worth a note, in ms. */
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
