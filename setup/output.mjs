/**
 * Set-up's messages for people: short lines on standard error. Standard output belongs to the
 * command.
 */

/** @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Returns the seconds since a moment, for people.
 * @param {number} since `Date.now()` of the moment
 */
export function elapsed(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}

/** A failed step of set-up. The message is complete: it is shown without a stack. */
export class SetupError extends Error {
  /**
   * @param {string} what the failure, in one line
   * @param {{ command?: string, output?: string, advice?: string }} [more] the command as a user
   * would type it, its whole output (an excerpt is shown), what the user can do
   */
  constructor(what, { command, output, advice } = {}) {
    const lines = [what];
    if (command !== undefined) lines.push(`  command: ${command}`);
    if (output !== undefined && output.trim() !== '') lines.push(...excerpt(output).map((line) => `  | ${line}`));
    if (advice !== undefined) lines.push(`  what to do: ${advice}`);
    super(lines.join('\n'));
    this.name = 'SetupError';
  }
}

/**
 * Returns the beginning and the end of a command's output: npm prints the cause first, then many
 * lines of usage.
 * @param {string} output
 */
function excerpt(output, first = 5, last = 15) {
  const lines = output.trimEnd().split('\n');
  return lines.length <= first + last ? lines : [...lines.slice(0, first), '...', ...lines.slice(-last)];
}
