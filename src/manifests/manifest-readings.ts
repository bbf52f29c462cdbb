/**
 * Reads manifests again as the files change. Refuses a reading that loses something: the last one
 * stays in force.
 */
import { losesObjects } from './losses.ts';
import { PathWatch } from './path-watch.ts';
import type { ManifestProblem } from './problems.ts';

export interface ManifestReadingsOptions<Reading> {
  readonly paths: readonly string[];
  readonly read: () => Promise<Reading>;
  /**
   * @param error why nothing could be read; undefined if something was read and something lost,
   * which the reading's problems name
   */
  readonly onRefused: (error: unknown) => void;
}

export class ManifestReadings<Reading extends { readonly problems: readonly ManifestProblem[] }> {
  readonly #options: ManifestReadingsOptions<Reading>;
  readonly #watched: PathWatch;
  /** Problems of the last accepted reading. */
  #problems: readonly ManifestProblem[] = [];
  #reading: Promise<void> = Promise.resolve();

  /**
   * Watches from now on: no change between now and the first reading is missed. Throws as PathWatch
   * does.
   */
  constructor(options: ManifestReadingsOptions<Reading>) {
    this.#options = options;
    this.#watched = new PathWatch(options.paths);
  }

  /** Reads for the first time. Accepts any problems, because there is nothing to lose yet. */
  async first(): Promise<Reading> {
    const reading = await this.#options.read();
    this.#problems = reading.problems;
    return reading;
  }

  /**
   * Calls `taken` with each accepted reading after a change.
   * @param noticedAt when the first of the changes was noticed, in ms of performance.now()
   */
  follow(taken: (reading: Reading, noticedAt: number) => void): void {
    this.#watched.follow((noticedAt) => {
      this.#reading = this.#reading.then(() => this.#reread(taken, noticedAt));
    });
  }

  async stop(): Promise<void> {
    this.#watched.stop();
    await this.#reading;
  }

  async #reread(taken: (reading: Reading, noticedAt: number) => void, noticedAt: number): Promise<void> {
    const { read, onRefused } = this.#options;
    try {
      const reading = await read();
      if (losesObjects(this.#problems, reading.problems)) {
        onRefused(undefined);
        return;
      }
      this.#problems = reading.problems;
      taken(reading, noticedAt);
    } catch (error) {
      onRefused(error);
    }
  }
}
