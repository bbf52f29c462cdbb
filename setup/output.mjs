/** What set-up says to people: short lines on standard error, so that standard output stays the command's own. */

/** @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Seconds since a moment, for people.
 * @param {number} since `Date.now()` of the moment
 */
export function elapsed(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}

/** Something that set-up could not do. The message is complete: it is shown without a stack. */
export class SetupError extends Error {
  /**
   * @param {string} what what failed, in one line
   * @param {{ command?: string, output?: string, advice?: string }} [more] the command as one could type it, all it printed (an excerpt is shown), what
   *   the user can do
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
 * The end of what a command printed, and the beginning: npm gives the cause first and many lines of usage after it.
 * @param {string} output
 */
function excerpt(output, first = 5, last = 15) {
  const lines = output.trimEnd().split('\n');
  return lines.length <= first + last ? lines : [...lines.slice(0, first), '...', ...lines.slice(-last)];
}
