/** What commands say on standard error. */
import { printableLines } from '../../cluster/printable.ts';

/** Writes lines, each ended; whatever names and errors are in them, they do not steer the terminal. */
export function tell(lines: string): void {
  process.stderr.write(printableLines(lines));
}
