/** Messages of commands, on standard error. */
import { printableLines } from '../../cluster/printable.ts';

/**
 * Writes lines, each ending with a newline. Names and errors in them cannot control the terminal.
 */
export function tell(lines: string): void {
  process.stderr.write(printableLines(lines));
}
