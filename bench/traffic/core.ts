import { execFileSync } from 'node:child_process';

/** Keeps all threads of this process, and those to come, on one core. */
export function stayOnCore(core: number): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(core), String(process.pid)], {
    stdio: 'ignore',
  });
}
