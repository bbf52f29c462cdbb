/** Tools that stand by for the moment in which rules are to be put in place again: started beforehand, one of each command line. */
import type { Standby, System } from './run.ts';

export class StandbyTools {
  readonly #system: System;
  readonly #tools = new Map<string, Standby>();

  constructor(system: System) {
    this.#system = system;
  }

  /** Starts one where there is none. */
  prepare(command: string, args: readonly string[]): void {
    const line = [command, ...args].join(' ');
    const standby = this.#tools.has(line) ? undefined : this.#system.standby?.(command, args);
    if (standby !== undefined) this.#tools.set(line, standby);
  }

  /** By the one that stands by, else as System.run. Another one has to be prepared afterwards. */
  run(command: string, args: readonly string[], input: string): Promise<string> {
    const line = [command, ...args].join(' ');
    const standby = this.#tools.get(line);
    this.#tools.delete(line);
    return standby === undefined ? this.#system.run(command, args, input) : standby.run(input);
  }

  end(): void {
    for (const standby of this.#tools.values()) standby.end();
    this.#tools.clear();
  }
}
