/**
 * What a benchmark is, and what it is given. A benchmark is a folder `bench/<name>/` whose `bench.ts` exports `bench: Bench`; it is
 * registered by one line in bench/benches.ts, in the order in which `npm run bench` runs them. The harness does the rest: arguments,
 * Ctrl-C, the machine, the date, targets (bench/targets.ts, matched by bench and row name), the table, `<out>/<name>.json` and `<name>.svg`.
 *
 *     export const bench: Bench = {
 *       obstacle: () => requirement(rootOnLinux, command('iperf3')),      // harness/requirements.ts
 *       async run({ quick, progress, signal }) {
 *         progress('kernel only', 1, 4);
 *         const runs = await inChild<number[]>(new URL('./load-process.ts', import.meta.url), { seconds: quick ? 1 : 10 }, { signal });
 *         return { parameters: { seconds: 10 }, rows: [row('round trip p50, kernel only', 'us', runs)] };
 *       },
 *       panels: ({ rows }) => [bars('Round trip', rows)],
 *     };
 */
import type { Panel } from './panels.ts';
import type { BenchResult, Measured } from './result.ts';

export interface BenchContext {
  /** A run of seconds that shows that everything works; its figures are not for publication. */
  readonly quick: boolean;
  /** How long a benchmark that runs for as long as one wants is to run; undefined for its own choice. */
  readonly minutes: number | undefined;
  /** Ctrl-C. Hand it to whatever waits; `run` then rejects, after it took down what it set up. */
  readonly signal: AbortSignal;
  /** Where it stands: one line, which is written over on a terminal. `done` of `total` steps where they can be counted. */
  readonly progress: (text: string, done?: number, total?: number) => void;
}

export interface Bench {
  /** Why it cannot run on this machine, and what it needs, in one line; undefined where it can. */
  readonly obstacle?: () => string | undefined;
  readonly run: (context: BenchContext) => Promise<Measured>;
  /** What the plot shows, from top to bottom. It sees the result as it stands in the file, so that an old one can be drawn again. */
  readonly panels: (result: BenchResult) => readonly Panel[];
}
