/**
 * Prevents core dumps: the process has much memory, and whoever started it did not ask for a file
 * of that size.
 */
import { errno, SystemCallError } from './libc.ts';
import { libcFunction } from './native.ts';

const RLIMIT_CORE = 4;
const PR_SET_DUMPABLE = 4;

const setrlimit = libcFunction('int setrlimit(int resource, void *limits)');
const prctl = libcFunction('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)');

/**
 * Turns off core dumps of this process and of its children. If core_pattern is a pipe, the kernel
 * ignores the limit and only heeds the dumpable attribute (core(5)).
 */
export function leaveNoCore(): void {
  // struct rlimit: the soft and the hard limit, in bytes.
  if (setrlimit(RLIMIT_CORE, new BigUint64Array(2)) < 0) throw new SystemCallError('setrlimit', errno());
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) throw new SystemCallError('prctl', errno());
}
