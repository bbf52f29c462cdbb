/** Other processes of the node, by /proc: without hostPID a pod sees its own only. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The name of a process, as the kernel cuts it (15 characters); undefined where it is not to be seen. */
export function processName(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Processes of that name in the network namespace of this process. */
export function processesNamed(names: readonly string[]): number[] {
  const own = netnsOf('self');
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && names.includes(processName(pid) ?? '') && netnsOf(String(pid)) === own);
}

function netnsOf(process: string): string | undefined {
  try {
    return readlinkSync(`/proc/${process}/ns/net`);
  } catch {
    return undefined;
  }
}
