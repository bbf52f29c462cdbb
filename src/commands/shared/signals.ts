import { ExitCode } from './exit-code.ts';
import type { ProgressLine } from './progress.ts';

/**
 * Ends the process at once on Ctrl-C and SIGTERM. A lab needs no more: this process holds it, and
 * it ends with the process.
 */
export function exitOnSignals(progress: ProgressLine): void {
  const exit = (code: number) => () => {
    progress.clear();
    process.exit(code);
  };
  process.on('SIGINT', exit(ExitCode.interrupted));
  process.on('SIGTERM', exit(ExitCode.terminated));
}
