/**
 * What a benchmark can require of the machine, each with the message that names what is missing.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Returns what is missing; undefined if the machine has it. */
export type Requirement = () => string | undefined;

/** Returns the first requirement that is missing. */
export function requirement(...needed: readonly Requirement[]): string | undefined {
  for (const missing of needed) {
    const what = missing();
    if (what !== undefined) return what;
  }
  return undefined;
}

export const linux: Requirement = () =>
  process.platform === 'linux' ? undefined : `needs Linux, and this is ${process.platform}`;

export const rootOnLinux: Requirement = () =>
  linux() ?? (process.getuid?.() === 0 ? undefined : 'needs root: it makes network namespaces and kernel rules');

/**
 * Requires a command. `debianPackage` is the Debian package that contains it, if its name differs.
 */
export const command =
  (name: string, debianPackage: string = name): Requirement =>
  () =>
    (process.env.PATH ?? '').split(delimiter).some((folder) => isExecutable(join(folder, name)))
      ? undefined
      : `needs the command ${name} (apt-get install ${debianPackage})`;

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
