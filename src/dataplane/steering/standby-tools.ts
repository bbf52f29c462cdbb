/**
 * Keeps tools started in advance, one per command line, so that restoring rules does not wait for a
 * tool to start.
 */
import type { Standby, System } from './run.ts';

export class StandbyTools {
  readonly #system: System;
  readonly #tools = new Map<string, Standby>();

  constructor(system: System) {
    this.#system = system;
  }

  /** Starts the tool unless it stands by already. */
  prepare(command: string, args: readonly string[]): void {
    const line = [command, ...args].join(' ');
    const standby = this.#tools.has(line) ? undefined : this.#system.standby?.(command, args);
    if (standby !== undefined) this.#tools.set(line, standby);
  }

  /**
   * Runs the tool that stands by, or starts one like System.run. Call `prepare` afterwards for the
   * next run.
   */
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
