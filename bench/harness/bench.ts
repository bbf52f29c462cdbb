/**
 * What a benchmark is, and what the harness gives it. A benchmark is a folder `bench/<name>/` whose
 * `bench.ts` exports `bench: Bench`. One line in bench/benches.ts registers it, in the order in
 * which `npm run bench` runs them. The harness does the rest: arguments, Ctrl-C, the machine, the
 * date, targets (bench/targets.ts, matched by bench and row name), the table, `<out>/<name>.json`
 * and `<name>.svg`.
 *
 *     export const bench: Bench = {
 *       obstacle: () => requirement(rootOnLinux, command('iperf3')),      // harness/requirements.ts
 *       async run({ quick, progress, signal }) {
 *         progress('kernel only', 1, 4);
 *         const file = new URL('./load-process.ts', import.meta.url);
 *         const runs = await inChild<number[]>(file, { seconds: quick ? 1 : 10 }, { signal });
 *         const rows = [row('round trip p50, kernel only', 'us', runs)];
 *         return { parameters: { seconds: 10 }, rows };
 *       },
 *       panels: ({ rows }) => [bars('Round trip', rows)],
 *     };
 */
import type { Panel } from './panels.ts';
import type { BenchResult, Measured } from './result.ts';

export interface BenchContext {
  /** A run of seconds that shows that everything works; its figures are rough. */
  readonly quick: boolean;
  /** How long a benchmark of any length runs; undefined for its own default. */
  readonly minutes: number | undefined;
  /**
   * Ctrl-C. Hand it to everything that waits; `run` then rejects, after it has removed what it set
   * up.
   */
  readonly signal: AbortSignal;
  /**
   * Shows the progress: one line, which is overwritten on a terminal. `done` of `total` steps if
   * they can be counted.
   */
  readonly progress: (text: string, done?: number, total?: number) => void;
}

export interface Bench {
  /**
   * Returns why it cannot run on this machine, and what it needs, in one line; undefined if it can.
   */
  readonly obstacle?: () => string | undefined;
  readonly run: (context: BenchContext) => Promise<Measured>;
  /**
   * What the plot shows, from top to bottom. Takes the result as in the file, so that an old one
   * can be drawn again.
   */
  readonly panels: (result: BenchResult) => readonly Panel[];
}
