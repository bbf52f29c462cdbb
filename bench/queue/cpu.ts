/** CPU time of the threads of a process: /proc/PID/task of proc(5). */
import { readdirSync, readFileSync } from 'node:fs';

export interface ThreadTime {
  /**
   * Microseconds, from the scheduler's nanosecond clock. The kernel's work in a system call counts
   * for the caller, including the way of an accepted packet on to the receiver.
   */
  readonly run: number;
  /**
   * Timer ticks (about 250 a second) that found the thread in its own code, and in the kernel. Good
   * only for shares of a long time.
   */
  readonly user: number;
  readonly kernel: number;
}

const NOTHING: ThreadTime = { run: 0, user: 0, kernel: 0 };

/**
 * Returns the time of all threads of a process together, or of those whose names begin with `name`.
 */
export function timeOf(pid: number, name = ''): ThreadTime {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder)
    .filter((thread) => readFileSync(`${folder}/${thread}/comm`, 'utf8').startsWith(name))
    .map((thread) => timeOfThread(`${folder}/${thread}`))
    .reduce((sum, each) => combine(sum, each, 1), NOTHING);
}

/** Returns the time spent between two readings. */
export function since(before: ThreadTime, after: ThreadTime): ThreadTime {
  return combine(after, before, -1);
}

function combine(one: ThreadTime, other: ThreadTime, sign: 1 | -1): ThreadTime {
  return {
    run: one.run + sign * other.run,
    user: one.user + sign * other.user,
    kernel: one.kernel + sign * other.kernel,
  };
}

function timeOfThread(folder: string): ThreadTime {
  const stat = readFileSync(`${folder}/stat`, 'utf8');
  // `stat` contains the name in parentheses, which may contain anything. After it, state is field
  // 3, utime 14, stime 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [run] = readFileSync(`${folder}/schedstat`, 'utf8').split(' ');
  return { run: Number(run) / 1000, user: Number(fields[11]), kernel: Number(fields[12]) };
}
