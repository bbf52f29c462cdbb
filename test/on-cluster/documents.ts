/** The commands of the documents, as a reader copies them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from './cluster.ts';
import { say } from './shell.ts';

const COMMAND =
  /^ {4}(?:\$ )?((?:PODFENCE_\w+=\S+ )*(?:kubectl|podfence|curl|sed|sudo|helm|kind|docker|kubelet|npm) .*)/;

/**
 * The commands of a document: lines indented by four spaces, without the comment behind them.
 * @param without headings of the sections that are passed over, without their #s; those that are
 * found leave the set
 */
function documentedCommands(file: string, without: Set<string>): readonly string[] {
  // What is fenced is output, with the command that printed it.
  const text = readFileSync(join(PROJECT, file), 'utf8').replaceAll(/^```[\s\S]*?^```$/gm, '');
  return text.split(/^#+ (?=.)/m).flatMap((section) => {
    const [heading = '', ...lines] = section.split('\n');
    if (without.delete(heading)) return [];
    return lines.flatMap((line) => COMMAND.exec(line)?.[1]?.replace(/ {2,}#.*$/, '') ?? []);
  });
}

/**
 * All commands of some documents: each is to be executed, or to be named with the reason why not.
 */
export class Documented {
  readonly #left: Set<string>;

  /**
   * @param without sections that this suite passes over, and why
   * @throws Error where the documents have no such section
   */
  constructor(files: readonly string[], without: Readonly<Record<string, string>>) {
    const headings = new Set(Object.keys(without));
    this.#left = new Set(files.flatMap((file) => documentedCommands(file, headings)));
    if (headings.size > 0) throw new Error(`the documents have no section ${[...headings].join(', ')}`);
  }

  /** Commands that nobody has asked for yet. */
  get left(): readonly string[] {
    return [...this.#left];
  }

  /** The one that matches, as it stands. @throws Error where the documents have none, or several */
  command(pattern: RegExp): string {
    const [command, ...others] = this.#take(pattern);
    if (command === undefined || others.length > 0)
      throw new Error(`${pattern} is to be one command, and is ${others.length + 1}: ${others.join(', ')}`);
    return command;
  }

  /**
   * What cannot be executed on every cluster, or is no matter of one.
   * @throws Error where the documents have none
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
 * A command that stands within a sentence, maybe over two lines.
 * @throws Error where the document does not have it
 */
export function inSentence(file: string, command: string): string {
  const text = readFileSync(join(PROJECT, file), 'utf8').replaceAll(/\s+/g, ' ');
  if (!text.includes(`\`${command}\``)) throw new Error(`${file} has no longer: ${command}`);
  return command;
}
