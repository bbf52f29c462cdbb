/** What of `npm run bench` has to be known before anything is installed: which benchmarks there are, and flags that npm has kept for itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Benchmarks that send no real packets. */
const IN_MEMORY = ['filter', 'compile', 'replay', 'package'];

/** Flags after which nothing is measured. */
const WITHOUT_RUN = ['--help', '-h', '--list', '--report', '--plot'];
const WITH_VALUE = ['--out', '--minutes'];
/** Every flag of bench/run.ts that npm does not have itself. */
const FLAGS = ['quick', 'list', 'report', 'plot', 'out', 'minutes'];

/**
 * Do the arguments ask for a benchmark that sends packets through network namespaces?
 * @param {readonly string[]} args
 */
export function benchSendsPackets(args) {
  if (WITHOUT_RUN.some((flag) => args.includes(flag))) return false;
  const names = namesIn(args);
  return names.length === 0 || names.some((name) => !IN_MEMORY.includes(name));
}

/**
 * What is wrong with the arguments, complete, for people; undefined where nothing is.
 * @param {string} root folder of the checkout
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
export function benchMistake(root, args, env) {
  const known = benchNames(root);
  const kept = FLAGS.filter((flag) => env.npm_lifecycle_event === 'bench' && env[`npm_config_${flag}`] !== undefined);
  if (kept.length > 0) {
    const said = kept.map((flag) => `--${flag}`).join(' and ');
    const meant = asMeant(known, args, kept, env).join(' ');
    return `npm kept ${said} for itself. Flags come behind "--":\n\n    npm run bench -- ${meant}`;
  }
  const unknown = namesIn(args).find((name) => !known.includes(name));
  if (unknown === undefined) return undefined;
  return `no benchmark is called ${unknown}. There are ${known.join(', ')}.`;
}

/**
 * In the order in which they run.
 * @param {string} root folder of the checkout
 */
function benchNames(root) {
  const source = readFileSync(join(root, 'bench/benches.ts'), 'utf8');
  return [...source.matchAll(/import\('\.\/(\w+)\/bench\.ts'\)/g)].map(([, name = '']) => name);
}

/**
 * The arguments with the flags that npm kept. It takes every flag that it does not know for one without a value, or else the next word for the value
 * of any: what is then left over is no benchmark.
 * @param {readonly string[]} known
 * @param {readonly string[]} args
 * @param {readonly string[]} kept
 * @param {NodeJS.ProcessEnv} env
 */
function asMeant(known, args, kept, env) {
  const values = args.filter((arg) => !known.includes(arg) && !arg.startsWith('-'));
  const flags = kept.flatMap((flag) => {
    const value = env[`npm_config_${flag}`] ?? '';
    if (value !== '' && value !== 'true') return [`--${flag}`, value];
    return WITH_VALUE.includes(`--${flag}`) ? [`--${flag}`, values.shift() ?? 'VALUE'] : [`--${flag}`];
  });
  return [...args.filter((arg) => known.includes(arg) || arg.startsWith('-')), ...flags, ...values];
}

/** @param {readonly string[]} args */
function namesIn(args) {
  return args.filter((arg, index) => !arg.startsWith('-') && !WITH_VALUE.includes(args[index - 1] ?? ''));
}
