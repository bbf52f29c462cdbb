/**
 * `npm run fuzz [-- OPTIONS]`: runs all targets in turn for an hour. Exits with 1 if it finds a
 * fault; each is kept as a case.
 */
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { keepCase } from './cases.ts';
import { faultOf } from './faults.ts';
import { knownSignatures } from './known-signatures.ts';
import { Random } from './random.ts';
import { commandOf, runRound } from './runner.ts';
import { loadTarget, TARGETS } from './targets.ts';
import { Totals } from './totals.ts';

/** Length of a target's turn: long enough that the cost of a new thread does not matter. */
const TURN_MS = 20_000;
/** More inputs than any turn runs, so that turns do not share inputs. */
const TURN_INPUTS = 1 << 24;

interface Options {
  readonly minutes: number;
  readonly target: string[];
  readonly seed: number;
  readonly input?: number;
}

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt.abort());

await new Command('npm run fuzz --')
  .description('Looks for faults with random inputs, and keeps those that it finds in test/fuzz/cases.')
  .option('--minutes <number>', 'how long to run', positive, 60)
  .addOption(new Option('--target <name...>', 'only these targets').choices(Object.keys(TARGETS)).default([], 'all'))
  .addOption(
    new Option('--seed <number>', 'repeats the inputs of the run with this seed')
      .argParser(whole)
      .default(randomInt(2 ** 31), 'random'),
  )
  .option('--input <index>', 'only this input of the seed, in this thread', whole)
  .action(async (options: Options) => {
    process.exitCode = options.input === undefined ? await fuzz(options) : await runOne(options, options.input);
  })
  .parseAsync();

async function fuzz({ minutes, target, seed }: Options): Promise<number> {
  const names = target.length > 0 ? target : Object.keys(TARGETS);
  const deadline = Date.now() + minutes * 60_000;
  const totals = new Totals(names);
  const ignored = new Map<string, string[]>();
  for (const name of names) ignored.set(name, await knownSignatures(name));
  console.log(`fuzz: seed ${seed}, ${minutes} min, ${names.join(', ')}`);
  let turns = 0;
  /** Each lane takes the next turn; two lanes may run the same target. */
  const lane = async (): Promise<void> => {
    while (Date.now() < deadline && !interrupt.signal.aborted) {
      const turn = turns++;
      const name = names[turn % names.length] as string;
      await takeTurn(name, seed, Math.floor(turn / names.length) * TURN_INPUTS, deadline, ignored, totals);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, availableParallelism() - 1) }, lane));
  console.log(totals.summary());
  return totals.faults > 0 ? 1 : 0;
}

async function takeTurn(
  name: string,
  seed: number,
  first: number,
  deadline: number,
  ignored: ReadonlyMap<string, string[]>,
  totals: Totals,
): Promise<void> {
  const known = ignored.get(name) ?? [];
  const until = Math.min(Date.now() + TURN_MS, deadline);
  const outcome = await runRound({ name, seed, first, until, ignored: known, signal: interrupt.signal });
  console.log(totals.add(name, outcome));
  const { fault } = outcome;
  if (fault === undefined || known.includes(fault.signature)) return;
  known.push(fault.signature);
  const kept = keepCase(name, fault.input);
  console.log(`FAULT in ${name}: ${fault.message}\n  kept in ${kept}\n  again: ${commandOf(name, seed, fault.index)}`);
}

async function runOne({ target, seed }: Options, index: number): Promise<number> {
  const [name] = target;
  if (name === undefined || target.length > 1) throw new InvalidArgumentError('--input needs one --target');
  const code = await loadTarget(name);
  const input = code.generate(new Random(seed, index));
  console.log(`${input.length} bytes: ${Buffer.from(input.subarray(0, 400)).toString('hex')}`);
  const fault = await faultOf(code, input);
  console.log(fault?.message ?? 'no fault');
  return fault === undefined ? 0 : 1;
}

function positive(text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new InvalidArgumentError('It must be more than 0.');
  return number;
}

function whole(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError('It must be a whole number.');
  return number;
}
