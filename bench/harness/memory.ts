import { readFileSync } from 'node:fs';

/**
 * Returns the peak memory of this process in bytes: VmHWM of proc(5) or, on other systems, of
 * getrusage(2).
 */
export function peakMemory(): number {
  try {
    return memoryOf('self', 'VmHWM');
  } catch {
    // No /proc: not Linux.
    return 1024 * process.resourceUsage().maxRSS;
  }
}

/**
 * Returns the memory of a process in bytes, current (VmRSS) or peak (VmHWM). Throws if there is no
 * such process, or no /proc.
 */
export function memoryOf(pid: number | 'self', field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const [, kilobytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
  return 1024 * Number(kilobytes);
}
