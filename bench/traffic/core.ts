import { execFileSync } from 'node:child_process';

/** Keeps all threads of a process, and those to come, on some of the cores. Throws where there is no such process, or no such core. */
export function keepOnCores(cores: readonly number[], pid: number): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', cores.join(','), String(pid)], { stdio: 'ignore' });
}

/** A command whose process stays on these cores. @param cores without them wherever the kernel puts it */
export function onCores(cores: readonly number[] | undefined, command: readonly string[]): readonly string[] {
  return cores === undefined ? command : ['taskset', '--cpu-list', cores.join(','), ...command];
}
