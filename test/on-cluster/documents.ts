/** The commands of the documents, as a reader copies them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from './cluster.ts';

/**
 * The commands of a section: lines indented by four spaces, without the comment behind them.
 * @param file below the project
 * @param heading of the section, without its #s
 * @throws Error where there is no such section, or no command in it
 */
function documentedCommands(file: string, heading: string): readonly string[] {
  const lines = readFileSync(join(PROJECT, file), 'utf8').split('\n');
  const start = lines.findIndex((line) => line.replace(/^#+ /, '') === heading && line.startsWith('#'));
  if (start < 0) throw new Error(`${file} has no section "${heading}"`);
  const length = lines.slice(start + 1).findIndex((line) => /^##? /.test(line));
  const section = lines.slice(start + 1, length < 0 ? undefined : start + 1 + length);
  const commands = section
    .filter((line) => /^ {4}(kubectl|podfence|curl|sed|sudo|helm|kind|docker|kubelet) /.test(line))
    .map((line) => line.trim().replace(/ {2,}#.*$/, ''));
  if (commands.length === 0) throw new Error(`${file}, "${heading}": no commands`);
  return commands;
}

/** The commands of some sections: each is to be executed, or to be named with the reason why not. */
export class Documented {
  readonly #left: Set<string>;

  constructor(sections: readonly (readonly [file: string, heading: string])[]) {
    this.#left = new Set(sections.flatMap(([file, heading]) => documentedCommands(file, heading)));
  }

  /** Commands that nobody has asked for yet. */
  get left(): readonly string[] {
    return [...this.#left];
  }

  /** The one that matches, as it stands. @throws Error where the documents have none, or several */
  command(pattern: RegExp): string {
    const found = [...this.#left].filter((command) => pattern.test(command));
    const [command] = found;
    if (command === undefined || found.length > 1)
      throw new Error(`the documents have ${found.length} commands ${pattern}, of: ${this.left.join('\n')}`);
    this.#left.delete(command);
    return command;
  }

  /** What cannot be executed on every cluster, and where it is tried instead. */
  elsewhere(pattern: RegExp, _reason: string): void {
    this.command(pattern);
  }
}
