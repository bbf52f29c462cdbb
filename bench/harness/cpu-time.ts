/** CPU time of the calling thread: other load on the machine disturbs it least. */

/** Runs `count` steps; returns how many had a wrong result. */
export type Steps = (count: number) => number;

export interface Rounds {
  readonly rounds: number;
  /** Approximate length of a round. */
  readonly roundMs: number;
}

/**
 * Steps before the first round, so that rounds run fully optimised code; at most one round's worth.
 */
const WARM_UP = 300_000;
/** Steps between two readings of the clock while warming up. */
const CHUNK = 100;

/**
 * Returns the ns per step of each round.
 * @throws Error if a step had a wrong result
 */
export function cpuRounds(steps: Steps, { rounds, roundMs }: Rounds): number[] {
  const perStep = warmUp(steps, roundMs);
  const count = Math.max(1, Math.round((roundMs * 1e6) / perStep));
  return Array.from({ length: rounds }, () => cpuTime(steps, count) / count);
}

/** Returns the CPU time of `count` steps in ns. */
function cpuTime(steps: Steps, count: number): number {
  const before = threadCpuUs();
  const wrong = steps(count);
  const spent = threadCpuUs() - before;
  if (wrong > 0) throw new Error(`${wrong} of ${count} steps came out wrong`);
  return spent * 1000;
}

/**
 * Returns the CPU time that this thread has used so far, in us. The kernel updates a thread's time
 * only at its ticks, milliseconds apart. A query for the process's time updates the calling
 * thread's, too (`thread_group_cputime` in kernel/sched/cputime.c), so the process is queried
 * first.
 */
export function threadCpuUs(): number {
  process.cpuUsage();
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** Returns the ns per step. */
function warmUp(steps: Steps, roundMs: number): number {
  let spent = 0;
  let done = 0;
  let chunk = CHUNK;
  while (done < WARM_UP && spent < roundMs * 1e6) {
    spent += cpuTime(steps, chunk);
    done += chunk;
    chunk = Math.min(2 * chunk, WARM_UP);
  }
  // The first steps are slower than later ones.
  const settled = Math.max(1, Math.min(done, Math.round((done * roundMs * 1e6) / (10 * Math.max(spent, 1)))));
  return Math.max(1, cpuTime(steps, settled) / settled);
}
