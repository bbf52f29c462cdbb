import { execFileSync } from 'node:child_process';

/**
 * Keeps all current and future threads of a process on the given cores. Throws if there is no such
 * process, or no such core.
 */
export function keepOnCores(cores: readonly number[], pid: number): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', cores.join(','), String(pid)], { stdio: 'ignore' });
}

/**
 * Returns a command that keeps its process on these cores. @param cores undefined to let the kernel
 * choose
 */
export function onCores(cores: readonly number[] | undefined, command: readonly string[]): readonly string[] {
  return cores === undefined ? command : ['taskset', '--cpu-list', cores.join(','), ...command];
}
