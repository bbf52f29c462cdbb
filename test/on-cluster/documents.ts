/** The commands of the documents, as a reader copies them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from './cluster.ts';
import { say } from './shell.ts';

const COMMAND =
  /^ {4}(?:\$ )?((?:PODFENCE_\w+=\S+ )*(?:kubectl|podfence|curl|sed|sudo|helm|kind|docker|kubelet|npm) .*)/;

/**
 * Returns the commands of a document: lines indented by four spaces, without trailing comments.
 * @param without headings of the sections to skip, without their #s; those found are removed from
 * the set
 */
function documentedCommands(file: string, without: Set<string>): readonly string[] {
  // Fenced blocks are output, with the command that printed it.
  const text = readFileSync(join(PROJECT, file), 'utf8').replaceAll(/^```[\s\S]*?^```$/gm, '');
  return text.split(/^#+ (?=.)/m).flatMap((section) => {
    const [heading = '', ...lines] = section.split('\n');
    if (without.delete(heading)) return [];
    return lines.flatMap((line) => COMMAND.exec(line)?.[1]?.replace(/ {2,}#.*$/, '') ?? []);
  });
}

/**
 * The commands of some documents. Each must be executed, or named with the reason why it is not.
 */
export class Documented {
  readonly #left: Set<string>;

  /**
   * @param without sections that this suite skips, and why
   * @throws Error if the documents have no such section
   */
  constructor(files: readonly string[], without: Readonly<Record<string, string>>) {
    const headings = new Set(Object.keys(without));
    this.#left = new Set(files.flatMap((file) => documentedCommands(file, headings)));
    if (headings.size > 0) throw new Error(`the documents have no section ${[...headings].join(', ')}`);
  }

  /** The commands that have not been used yet. */
  get left(): readonly string[] {
    return [...this.#left];
  }

  /**
   * Returns the command that matches, as it is written. @throws Error if the documents have none,
   * or several
   */
  command(pattern: RegExp): string {
    const [command, ...others] = this.#take(pattern);
    if (command === undefined || others.length > 0)
      throw new Error(`${pattern} should match one command, and matches ${others.length + 1}: ${others.join(', ')}`);
    return command;
  }

  /**
   * Marks commands that cannot be executed on every cluster, or have nothing to do with one.
   * @throws Error if the documents have none
   */
  elsewhere(pattern: RegExp, reason: string): void {
    for (const command of this.#take(pattern)) say(`not executed: ${command} (${reason})`);
  }

  #take(pattern: RegExp): readonly string[] {
    const found = this.left.filter((command) => pattern.test(command));
    if (found.length === 0) throw new Error(`the documents have no command ${pattern}, of: ${this.left.join('\n')}`);
    for (const command of found) this.#left.delete(command);
    return found;
  }
}

/**
 * Returns a command that is part of a sentence, possibly over two lines.
 * @throws Error if the document does not contain it
 */
export function inSentence(file: string, command: string): string {
  const text = readFileSync(join(PROJECT, file), 'utf8').replaceAll(/\s+/g, ' ');
  if (!text.includes(`\`${command}\``)) throw new Error(`${file} no longer contains: ${command}`);
  return command;
}
