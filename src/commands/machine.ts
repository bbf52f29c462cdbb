import { UnavailableError } from './exit-code.ts';

/** @throws UnavailableError, in one line, where `what` cannot work. */
export function requireRootOnLinux(what: string): void {
  if (process.platform !== 'linux')
    throw new UnavailableError(`${what} needs Linux: it works with the kernel's packet filter`);
  if (process.getuid?.() !== 0)
    throw new UnavailableError(`${what} needs root: it works with the kernel's packet filter`);
}
