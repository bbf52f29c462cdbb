/**
 * `npm run bench [-- OPTIONS] [NAME...]`: runs benchmarks one after the other, prints their tables
 * and writes their files.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { didYouMean } from '../src/cluster/nearest.ts';
import { ExitCode, InputError } from '../src/commands/shared/exit-code.ts';
import { BENCHES } from './benches.ts';
import type { Bench } from './harness/bench.ts';
import { describeMachine } from './harness/machine.ts';
import { plot } from './harness/plot.ts';
import { Progress } from './harness/progress.ts';
import { mixedCommits, targetTable, withTable } from './harness/report.ts';
import type { BenchResult } from './harness/result.ts';
import { completed, readReference, readResult, writePlot, writeResult } from './harness/results.ts';
import { missingTargets, originOf, resultTable } from './harness/terminal.ts';

/** The reference run. */
const RESULTS = fileURLToPath(new URL('results', import.meta.url));
/** Not in the repository. */
const QUICK_RESULTS = join(RESULTS, 'quick');
/** Contains the table of targets. */
const DOCUMENT = fileURLToPath(new URL('README.md', import.meta.url));
/** How long a benchmark may clean up after Ctrl-C, in ms. */
const CLEANUP_MS = 15_000;

interface Options {
  readonly out?: string;
  readonly quick: boolean;
  readonly minutes?: number;
  readonly list: boolean;
  readonly report: boolean;
  readonly plot: boolean;
}

const progress = new Progress();
const interrupt = new AbortController();

const program = new Command('npm run bench --')
  .description('Measures speed and scale; all benchmarks, or the named ones. Nothing is asserted.')
  .argument('[name...]', Object.keys(BENCHES).join(', '))
  .option('--quick', 'a short run of seconds, to see that it works; its figures are rough', false)
  .option('--minutes <number>', 'how long soak runs (default: 60)', minutes)
  .option(
    '--out <folder>',
    'where NAME.json and NAME.svg go (default: bench/results; for quick runs bench/results/quick)',
  )
  .option('--list', 'list the benchmarks, and what this machine lacks for each', false)
  .option('--report', 'run nothing; write the table of targets into bench/README.md from the result files', false)
  .option('--plot', 'run nothing; draw the plots again from the result files', false)
  .exitOverride()
  .action(async (names: string[], options: Options) => {
    checkNames(names);
    const folder = folderOf(options);
    if (options.list) await list();
    else if (options.report) reportTargets(folder);
    else if (options.plot) await drawAgain(names.length > 0 ? names : Object.keys(BENCHES), folder);
    else process.exitCode = await runAll(names, options, folder);
  });

for (const [signal, code] of [
  ['SIGINT', ExitCode.interrupted],
  ['SIGTERM', ExitCode.terminated],
] as const) {
  process.on(signal, () => {
    progress.clear();
    // The second signal exits at once: children end with this process, and files are complete or
    // absent.
    if (interrupt.signal.aborted) process.exit(code);
    interrupt.abort(new Error(`ended by ${signal}`));
    process.exitCode = code;
    setTimeout(() => process.exit(code), CLEANUP_MS).unref();
  });
}

try {
  await program.parseAsync();
} catch (error) {
  progress.clear();
  process.exitCode = interrupt.signal.aborted ? (process.exitCode ?? ExitCode.interrupted) : explain(error);
}
// Sockets or timers that a benchmark left open do not keep the command running.
if (interrupt.signal.aborted) process.exit();

/** @throws InputError for an unknown name, with the nearest known one */
function checkNames(names: readonly string[]): void {
  const known = Object.keys(BENCHES);
  for (const name of names) {
    if (Object.hasOwn(BENCHES, name)) continue;
    throw new InputError(
      `no benchmark is called ${name}. ${didYouMean(name, known) ?? `There are ${known.join(', ')}.`}`,
    );
  }
}

/** @throws InvalidArgumentError */
function minutes(text: string): number {
  const number = Number(text);
  if (!(number > 0 && number < Infinity)) throw new InvalidArgumentError('It must be a number above 0.');
  return number;
}

/** @throws InputError if a quick run would overwrite the reference run */
function folderOf({ out, quick }: Options): string {
  if (out === undefined) return quick ? QUICK_RESULTS : RESULTS;
  if (quick && resolve(out) === RESULTS)
    throw new InputError(
      `${out} contains the reference run, and figures of a quick run are rough: give another folder`,
    );
  return out;
}

async function load(name: string): Promise<Bench> {
  const entry = BENCHES[name];
  if (entry === undefined) throw new InputError(`no benchmark is called ${name}`);
  return (await entry.load()).bench;
}

async function list(): Promise<void> {
  const width = Math.max(...Object.keys(BENCHES).map((name) => name.length));
  for (const [name, { summary }] of Object.entries(BENCHES)) {
    const obstacle = (await load(name)).obstacle?.();
    console.log(`${name.padEnd(width)}  ${summary}`);
    if (obstacle !== undefined) console.log(`${' '.repeat(width)}  cannot run here: it ${obstacle}`);
  }
}

/**
 * Reports and skips what cannot run here; that is an error only if it was asked for by name.
 * Returns the exit code.
 */
async function runAll(names: readonly string[], options: Options, folder: string): Promise<number> {
  const wanted = Object.keys(BENCHES).filter((name) => names.length === 0 || names.includes(name));
  let code: number = ExitCode.ok;
  for (const name of wanted) {
    const bench = await load(name);
    const obstacle = bench.obstacle?.();
    if (obstacle === undefined) {
      await runOne(name, bench, options, folder);
    } else {
      console.error(`${name}: not run, it ${obstacle}`);
      if (names.length > 0) code = ExitCode.unavailable;
    }
  }
  return code;
}

async function runOne(name: string, bench: Bench, { quick, minutes }: Options, folder: string): Promise<void> {
  const { signal } = interrupt;
  // Before the run: a commit made meanwhile does not count.
  const machine = describeMachine();
  const measured = await bench.run({
    quick,
    minutes,
    signal,
    progress: (text, done, total) => progress.show(`${name}: ${text}`, done, total),
  });
  progress.clear();
  signal.throwIfAborted();
  const result = completed(name, quick, measured, machine);
  console.log(`\n${name}: ${BENCHES[name]?.summary}\n${originOf(result)}\n\n${resultTable(result)}`);
  for (const note of result.notes) console.log(`  ${note}`);
  for (const row of missingTargets(result)) console.error(`${name}: the target row "${row}" was not measured`);
  const files = [writeResult(folder, result), draw(folder, bench, result)];
  console.log(`\n${files.map((file) => relative('', file)).join(', ')}`);
}

function draw(out: string, bench: Bench, result: BenchResult): string {
  const title = `podfence ${result.bench}${result.quick ? ' (quick run)' : ''}`;
  return writePlot(out, result.bench, plot(title, originOf(result), bench.panels(result)));
}

async function drawAgain(names: readonly string[], out: string): Promise<void> {
  for (const name of names) {
    const result = readResult(out, name);
    if (result !== undefined) console.log(relative('', draw(out, await load(name), result)));
  }
}

function reportTargets(folder: string): void {
  const results = readReference(folder, Object.keys(BENCHES));
  const table = targetTable(results);
  if (mixedCommits(results))
    console.error('bench: these results come from different commits, or from code that is in no commit');
  writeFileSync(DOCUMENT, withTable(readFileSync(DOCUMENT, 'utf8'), table));
  console.log(`${relative('', DOCUMENT)}: table of targets written`);
}

/** Prints what went wrong and returns the exit code. */
function explain(error: unknown): number {
  // Commander has printed it.
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.badInput;
  if (error instanceof InputError) {
    console.error(`bench: ${error.message}`);
    return ExitCode.badInput;
  }
  console.error(error);
  return 1;
}
