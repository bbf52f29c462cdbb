/** Time of the thread's own CPU, so that what else runs on the machine disturbs a measurement least. */

/** Does `count` steps; gives back how many came out otherwise than they should. */
export type Steps = (count: number) => number;

export interface Rounds {
  readonly rounds: number;
  /** What a round is to take, about. */
  readonly roundMs: number;
}

/** Steps before the first round, so that it runs the code that the compiler settled on; at most as many as take a round. */
const WARM_UP = 300_000;
/** Steps between two looks at the clock while warming up. */
const CHUNK = 100;

/**
 * ns a step, for each round.
 * @throws Error where a step came out wrong
 */
export function cpuRounds(steps: Steps, { rounds, roundMs }: Rounds): number[] {
  const perStep = warmUp(steps, roundMs);
  const count = Math.max(1, Math.round((roundMs * 1e6) / perStep));
  return Array.from({ length: rounds }, () => cpuTime(steps, count) / count);
}

/** ns of CPU time of `count` steps. */
function cpuTime(steps: Steps, count: number): number {
  const before = threadCpuUs();
  const wrong = steps(count);
  const spent = threadCpuUs() - before;
  if (wrong > 0) throw new Error(`${wrong} of ${count} steps came out wrong`);
  return spent * 1000;
}

/**
 * CPU time that this thread has used so far, in us. The kernel brings a thread's time up to date at its ticks only, milliseconds apart;
 * that of the process it brings up to date, and the calling thread's with it, when it is asked (`thread_group_cputime` in
 * kernel/sched/cputime.c). So the process is asked first.
 */
export function threadCpuUs(): number {
  process.cpuUsage();
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** Gives ns a step. */
function warmUp(steps: Steps, roundMs: number): number {
  let spent = 0;
  let done = 0;
  let chunk = CHUNK;
  while (done < WARM_UP && spent < roundMs * 1e6) {
    spent += cpuTime(steps, chunk);
    done += chunk;
    chunk = Math.min(2 * chunk, WARM_UP);
  }
  // The first steps were slower than those to come.
  const settled = Math.max(1, Math.min(done, Math.round((done * roundMs * 1e6) / (10 * Math.max(spent, 1)))));
  return Math.max(1, cpuTime(steps, settled) / settled);
}
