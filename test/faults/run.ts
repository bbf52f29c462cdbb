/**
 * `npm run faults [-- OPTIONS]`: each fault once, as a table, and then random ones. Exits with 1 if
 * denied packets were delivered or allowed streams broke.
 */
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { FAULTS } from './faults.ts';
import { page } from './page.ts';
import { type RandomRun, randomFaults, summaryOf } from './random-faults.ts';
import { type Outcome, Scene } from './scene.ts';

const PAGE = fileURLToPath(new URL('../../docs/faults.md', import.meta.url));

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly only?: string[];
  readonly write: boolean;
}

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt.abort());

await new Command('npm run faults --')
  .description('Does to a running agent what can go wrong on a node, while streams run.')
  .option('--minutes <number>', 'how long random faults run afterwards; 0 for none', positive, 10)
  .option('--seed <number>', 'repeats the random faults of the run with this seed', whole, randomInt(2 ** 31))
  .option('--only <words...>', 'only faults with one of these in their names')
  .option('--write', 'write docs/faults.md', false)
  .action(async (options: Options) => {
    process.exitCode = await run(options);
  })
  .parseAsync();

async function run({ minutes, seed, only, write }: Options): Promise<number> {
  if (process.getuid?.() !== 0) {
    console.error('faults: packets between network namespaces need root');
    return 2;
  }
  const chosen = FAULTS.filter(({ name }) => only === undefined || only.some((word) => name.includes(word)));
  if (chosen.length === 0) {
    console.error(`faults: no such fault; there are: ${FAULTS.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  if (write && only !== undefined) {
    console.error('faults: --write writes the whole table; leave --only out');
    return 2;
  }
  await using scene = await Scene.start();
  const outcomes: Outcome[] = [];
  for (const fault of chosen) {
    if (interrupt.signal.aborted) return 130;
    await scene.startAgent(fault.flags, fault.log);
    await scene.open();
    const outcome = await scene.meet(fault);
    scene.close();
    outcomes.push(outcome);
    console.log(line(outcome));
  }
  let random: RandomRun | undefined;
  if (minutes > 0 && !interrupt.signal.aborted) {
    await scene.startAgent();
    await scene.open();
    console.log(`faults: random ones for ${minutes} min, seed ${seed}`);
    random = await randomFaults(scene, {
      seed,
      milliseconds: minutes * 60_000,
      signal: interrupt.signal,
      tell: (outcome) => console.log(line(outcome)),
    });
    console.log(summaryOf(random));
  }
  if (interrupt.signal.aborted) return 130;
  if (write) writeFileSync(PAGE, page(outcomes, random));
  const all = [...outcomes, ...(random?.outcomes ?? [])];
  return all.every(isGood) ? 0 : 1;
}

function isGood({ fault, delivered, broken, lost, unopened, problem }: Outcome): boolean {
  const most = FAULTS.find(({ name }) => name === fault)?.opens?.most ?? 0;
  return delivered <= most && broken + lost + unopened === 0 && problem === undefined;
}

function line(outcome: Outcome): string {
  const { fault, tried, delivered, broken, lost, opened, unopened, converged, note, problem } = outcome;
  const parts = [
    `${delivered} of ${tried} denied packets delivered`,
    `${broken} of 2 allowed streams broken, ${lost} datagrams lost`,
    `${unopened} of ${opened + unopened} new connections never opened`,
    ...(converged === undefined ? [] : [`a change holds after ${(converged / 1000).toFixed(1)} s`]),
    ...[note, problem ?? ''].filter((each) => each !== ''),
  ];
  return `${isGood(outcome) ? 'ok ' : 'BAD'} ${fault.padEnd(40)} ${parts.join('; ')}`;
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError('a whole number');
  return value;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value >= 0)) throw new InvalidArgumentError('a number of minutes');
  return value;
}
