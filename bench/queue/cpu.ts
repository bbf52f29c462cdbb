/** What the whole machine, and the threads of the queues, have spent: /proc/stat and /proc/PID/task, see proc(5). */
import { readdirSync, readFileSync } from 'node:fs';

/** Of the kernel's accounting: USER_HZ, 100 on every architecture that Node runs on. */
const TICK_US = 10_000;
const QUEUE_THREAD = 'podfence-queue';

/** Microseconds of CPU time of all cores together that anything ran, since the machine started. */
export function machineBusy(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) * TICK_US;
}

export interface ThreadTime {
  /** Microseconds. */
  readonly user: number;
  /** In system calls and what the kernel does in them: a verdict's carries its packet on. */
  readonly kernel: number;
}

/** Of the threads that judge packets, together. */
export function queueThreads(pid: number): ThreadTime {
  const folder = `/proc/${pid}/task`;
  const times = readdirSync(folder).flatMap((thread) => {
    if (!readFileSync(`${folder}/${thread}/comm`, 'utf8').startsWith(QUEUE_THREAD)) return [];
    const stat = readFileSync(`${folder}/${thread}/stat`, 'utf8');
    // After the name, which may hold anything, in parentheses: state is field 3, utime 14, stime 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return [{ user: Number(fields[11]) * TICK_US, kernel: Number(fields[12]) * TICK_US }];
  });
  if (times.length === 0) throw new Error(`process ${pid} has no thread called ${QUEUE_THREAD}…`);
  return {
    user: times.reduce((sum, { user }) => sum + user, 0),
    kernel: times.reduce((sum, { kernel }) => sum + kernel, 0),
  };
}
