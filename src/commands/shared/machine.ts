import { UnavailableError } from './exit-code.ts';

/** @throws UnavailableError, in one line, if `what` cannot work here. */
export function requireRootOnLinux(what: string, why = "it works with the kernel's packet filter"): void {
  if (process.platform !== 'linux') throw new UnavailableError(`${what} needs Linux: ${why}`);
  if (process.getuid?.() !== 0) throw new UnavailableError(`${what} needs root: ${why}`);
}
