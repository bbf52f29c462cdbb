/** What the threads of a process have spent: /proc/PID/task of proc(5). */
import { readdirSync, readFileSync } from 'node:fs';

export interface ThreadTime {
  /** Microseconds, from the scheduler's clock of nanoseconds. What the kernel does in a system call is the caller's, a verdict's way on to the receiver too. */
  readonly run: number;
  /** Ticks (250 a second or so) that found it in a program's own code, and in the kernel. Good for a share of much time only. */
  readonly user: number;
  readonly kernel: number;
}

const NOTHING: ThreadTime = { run: 0, user: 0, kernel: 0 };

/** Of all threads of a process together, or of those whose names begin so. */
export function timeOf(pid: number, name = ''): ThreadTime {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder)
    .filter((thread) => readFileSync(`${folder}/${thread}/comm`, 'utf8').startsWith(name))
    .map((thread) => timeOfThread(`${folder}/${thread}`))
    .reduce((sum, each) => combine(sum, each, 1), NOTHING);
}

/** What was spent between the two. */
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
  // After the name, which may hold anything, in parentheses: state is field 3, utime 14, stime 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [run] = readFileSync(`${folder}/schedstat`, 'utf8').split(' ');
  return { run: Number(run) / 1000, user: Number(fields[11]), kernel: Number(fields[12]) };
}
