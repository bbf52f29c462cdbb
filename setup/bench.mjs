/**
 * What has to be known of `npm run bench` before anything is installed: which benchmarks exist, and
 * which flags npm consumed itself.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Benchmarks that send no real packets. */
const IN_MEMORY = ['filter', 'compile', 'replay', 'package'];

/** Flags with which nothing is measured. */
const WITHOUT_RUN = ['--help', '-h', '--list', '--report', '--plot'];
const WITH_VALUE = ['--out', '--minutes'];
/** Every flag of bench/run.ts that npm does not define itself. */
const FLAGS = ['quick', 'list', 'report', 'plot', 'out', 'minutes'];

/**
 * Whether the arguments ask for a benchmark that sends packets through network namespaces.
 * @param {readonly string[]} args
 */
export function benchSendsPackets(args) {
  if (WITHOUT_RUN.some((flag) => args.includes(flag))) return false;
  const names = namesIn(args);
  return names.length === 0 || names.some((name) => !IN_MEMORY.includes(name));
}

/**
 * Returns the complete message about what is wrong with the arguments; undefined if nothing is.
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
    return `npm kept ${said} for itself. Flags go after "--":\n\n    npm run bench -- ${meant}`;
  }
  const unknown = namesIn(args).find((name) => !known.includes(name));
  if (unknown === undefined) return undefined;
  return `no benchmark is called ${unknown}. There are ${known.join(', ')}.`;
}

/**
 * Returns the benchmarks' names in the order in which they run.
 * @param {string} root folder of the checkout
 */
function benchNames(root) {
  const source = readFileSync(join(root, 'bench/benches.ts'), 'utf8');
  return [...source.matchAll(/import\('\.\/(\w+)\/bench\.ts'\)/g)].map(([, name = '']) => name);
}

/**
 * Returns the arguments together with the flags that npm consumed. npm either takes an unknown flag
 * for one without a value, or takes the next word as its value. A word left over that is no
 * benchmark is therefore a value.
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
