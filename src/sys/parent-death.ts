/** Makes a child process end with its parent, however the parent ends. */
import { errno, SystemCallError } from './libc.ts';
import { libcFunction } from './native.ts';

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

const prctl = libcFunction('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)');

/**
 * Makes the kernel kill this process when the thread that started it ends (prctl(2)). Exits at once
 * if process `parent` is gone already.
 */
export function dieWithParent(parent: number): void {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) throw new SystemCallError('prctl', errno());
  if (process.ppid !== parent) process.exit(1);
}
