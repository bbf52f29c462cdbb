import { readFileSync } from 'node:fs';

/** The most memory that this process ever had, in bytes: VmHWM of proc(5), elsewhere what getrusage(2) gives. */
export function peakMemory(): number {
  try {
    return memoryOf('self', 'VmHWM');
  } catch {
    // No /proc: not Linux.
    return 1024 * process.resourceUsage().maxRSS;
  }
}

/** Bytes of a process's memory, now (VmRSS) or the most it ever had (VmHWM). Throws where there is no such process, or no /proc. */
export function memoryOf(pid: number | 'self', field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const [, kilobytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
  return 1024 * Number(kilobytes);
}
