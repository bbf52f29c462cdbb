/**
 * `node setup/run.mjs demo|podfence|test|fuzz|faults|test:cluster|test:kernel|bench|build|manifests
 * [ARGS]`: makes the checkout ready (system packages, a new enough Node, npm packages) and runs the
 * command. Plain JavaScript without packages, because nothing is installed yet and Node may be old
 * (18 or newer). A few files and one checksum show what is ready; set-up installs only what is
 * missing, and names it.
 */
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchMistake, benchSendsPackets } from './bench.mjs';
import { build } from './build.mjs';
import { runInForeground, watchSignals } from './child.mjs';
import { installGoTools, missingGoTools } from './go-tools.mjs';
import { withLock } from './lock.mjs';
import { downloadNode, readyNode } from './node.mjs';
import { installPackages as installNpmPackages, packagesInstalled, packagesReady } from './npm.mjs';
import { SetupError, say } from './output.mjs';
import { describePlan, isComplete, mayInstall, refusal } from './plan.mjs';
import {
  describeMissing,
  installObstacle,
  installPackages as installSystemPackages,
  missingBrowser,
  missingForCapture,
  missingForCluster,
  missingForKernel,
  missingLoadGenerators,
  missingPackages,
  withAdminFolders,
} from './system-packages.mjs';
import { test } from './test.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const CACHE = join(ROOT, '.cache');
const NODE_FOLDER = join(CACHE, 'node');
const COMPILED = join(CACHE, 'compiled');
const PATH = withAdminFolders(process.env.PATH);

/** @typedef {import('./node.mjs').NodeRuntime} NodeRuntime */
/** @typedef {import('./system-packages.mjs').SystemPackage} SystemPackage */
/** @typedef {(path: string) => readonly SystemPackage[]} MissingPackages */

/**
 * The checkout, ready to run commands in.
 * @typedef {object} Checkout
 * @property {string} root folder of the checkout
 * @property {string} node path of the Node binary
 * @property {NodeJS.ProcessEnv} env environment with `node` and administrators' commands on its
 * PATH
 */

/** @type {Record<string, (checkout: Checkout, args: readonly string[]) => Promise<number>>} */
const WORDS = {
  demo: (checkout, args) => podfence(checkout, ['demo', ...args]),
  podfence,
  test,
  fuzz: ({ root, node, env }, args) =>
    runInForeground(node, [join(root, 'test/fuzz/run.ts'), ...args], { cwd: root, env }),
  faults: ({ root, node, env }, args) =>
    runInForeground(node, [join(root, 'test/faults/run.ts'), ...args], { cwd: root, env }),
  'test:cluster': ({ root, node, env }, args) =>
    runInForeground(node, [join(root, 'test/on-cluster/run.ts'), ...args], { cwd: root, env }),
  'test:kernel': ({ root, node, env }, args) =>
    runInForeground(node, [join(root, 'test/on-kernel/run.ts'), ...args], { cwd: root, env }),
  bench: (checkout, args) => runSource(checkout, 'bench/run.ts', args),
  build,
  manifests: (checkout, args) => runSource(checkout, 'daemonset/generate/write.ts', args),
};

/**
 * Runs podfence's command line.
 * @param {Checkout} checkout
 * @param {readonly string[]} args
 */
function podfence(checkout, args) {
  return runSource(checkout, 'src/cli.ts', args);
}

/**
 * Runs a source file in the folder where the user typed the command: npm changes to the checkout's.
 * @param {Checkout} checkout
 * @param {string} file relative to the checkout
 * @param {readonly string[]} args
 */
function runSource({ root, node, env }, file, args) {
  const cwd = env.npm_lifecycle_event === undefined ? undefined : env.INIT_CWD;
  return runInForeground(node, [join(root, file), ...args], cwd === undefined ? { env } : { env, cwd });
}

/**
 * Whether the command sends packets through network namespaces, and so needs the system's commands.
 * @param {string} word
 * @param {readonly string[]} args
 */
function sendsPackets(word, args) {
  if (word === 'podfence') return args[0] === 'lab';
  if (word === 'bench') return benchSendsPackets(args);
  return ['demo', 'test', 'faults', 'test:cluster', 'test:kernel'].includes(word);
}

/**
 * @param {string} word
 * @param {readonly string[]} args
 * @returns {Promise<Checkout>}
 */
async function prepare(word, args) {
  const installs = mayInstall(process.env);
  const plan = planFor(word, args, installs);
  if (!isComplete(plan)) {
    if (!installs) throw refusal(plan, CACHE);
    say(describePlan(plan));
  }
  await prepareSystem(word, args);
  await prepareGoTools(word);
  const node = readyNode(NODE_FOLDER);
  const ready = node !== undefined && !plan.npmPackages ? node : await withLock(join(CACHE, 'setup.lock'), install);
  const path = dirname(ready.binary) + delimiter + PATH;
  // The agent reads every variable with this prefix as a setting of its own.
  const { PODFENCE_SETUP: _, ...env } = process.env;
  // The processes of this command and of later ones share compiled code: without it each start
  // spends half a second more on stripping types.
  return { root: ROOT, node: ready.binary, env: { NODE_COMPILE_CACHE: COMPILED, ...env, PATH: path } };
}

/**
 * @param {string} word
 * @param {readonly string[]} args
 * @param {boolean} installs whether set-up may install; if not, npm packages installed by hand will
 * do
 * @returns {import('./plan.mjs').Plan}
 */
function planFor(word, args, installs) {
  const node = readyNode(NODE_FOLDER);
  const npmPackages = node === undefined || !(packagesReady(ROOT, node) || (!installs && packagesInstalled(ROOT)));
  const wanted = [
    ...wantedPackages(word, args).map(({ missing }) => missing),
    ...(npmPackages ? [missingForCapture] : []),
  ];
  const canInstall = installObstacle({ path: PATH }) === undefined;
  const systemPackages = canInstall ? wanted.flatMap((missing) => missing(PATH)) : [];
  return { systemPackages, node: node === undefined, npmPackages, goTools: wantedGoTools(word) };
}

/** Checks again first: another process may have installed while this one waited for the lock. */
async function install() {
  const node = readyNode(NODE_FOLDER) ?? (await downloadNode(NODE_FOLDER));
  if (packagesReady(ROOT, node)) return node;
  await prepareCapture();
  await installNpmPackages(ROOT, node);
  return node;
}

/**
 * Installs what npm needs to build the capture package, before npm builds it. npm does without that
 * package if it cannot build it, because it is optional.
 */
async function prepareCapture() {
  const missing = process.platform === 'linux' ? missingForCapture(PATH) : [];
  if (missing.length === 0) return;
  const obstacle = installObstacle({ path: PATH });
  try {
    if (obstacle === undefined) return await installSystemPackages(missing, PATH);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
  }
  const names = missing.map(({ name }) => name).join(', ');
  const why = obstacle ?? 'apt-get could not install it';
  say(`missing: ${names} (${why}). Without: podfence audit and wire cannot capture; everything else works.`);
}

/**
 * Returns the system packages that a command wants. On a system that lacks them, the command does
 * without those that have a `without`, which says what is lost.
 * @param {string} word
 * @param {readonly string[]} args
 * @returns {readonly { missing: MissingPackages, without?: string }[]}
 */
function wantedPackages(word, args) {
  const packets = sendsPackets(word, args);
  return [
    ...(packets ? [{ missing: missingPackages }] : []),
    ...(word === 'test' ? [{ missing: missingBrowser, without: 'tests that need a browser are skipped by name' }] : []),
    ...(word === 'test:cluster'
      ? [{ missing: missingForCluster, without: 'no cluster can be brought up on this machine' }]
      : []),
    ...(word === 'test:kernel' ? [{ missing: missingForKernel, without: 'the run is skipped by name' }] : []),
    ...(word === 'bench' && packets
      ? [{ missing: missingLoadGenerators, without: 'benchmarks that need them are left out by name' }]
      : []),
  ];
}

/**
 * @param {string} word
 * @param {readonly string[]} args
 */
async function prepareSystem(word, args) {
  const obstacle = installObstacle({ path: PATH });
  if (obstacle === undefined) {
    for (const { missing, without } of wantedPackages(word, args)) await installMissing(missing, without);
    return;
  }
  const missing = sendsPackets(word, args) ? missingPackages(PATH) : [];
  if (missing.length > 0) say(describeMissing(missing, obstacle));
  else if (word === 'test' && (process.platform !== 'linux' || process.getuid?.() !== 0)) {
    say('not root on Linux: tests that need network namespaces are skipped by name, all others run.');
  }
}

/** @param {string} word */
function wantedGoTools(word) {
  return word === 'test' ? missingGoTools(CACHE, PATH) : [];
}

/** @param {string} word */
async function prepareGoTools(word) {
  if (wantedGoTools(word).length === 0) return;
  try {
    await withLock(join(CACHE, 'setup.lock'), () => installGoTools(wantedGoTools(word), CACHE, PATH));
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`${error.message}\ngoing on without: tests that need it are skipped by name`);
  }
}

/**
 * @param {MissingPackages} missing
 * @param {string | undefined} without what is lost without them; undefined if they are required
 * @throws {SetupError}
 */
async function installMissing(missing, without) {
  if (missing(PATH).length === 0) return;
  try {
    await withLock(join(CACHE, 'setup.lock'), async () => {
      const still = missing(PATH);
      if (still.length > 0) await installSystemPackages(still, PATH);
    });
  } catch (error) {
    if (!(error instanceof SetupError) || without === undefined) throw error;
    say(`${error.message}\ngoing on without: ${without}`);
  }
}

async function main() {
  const [word = '', ...args] = process.argv.slice(2);
  const command = Object.hasOwn(WORDS, word) ? WORDS[word] : undefined;
  if (command === undefined) {
    say(`usage: node setup/run.mjs ${Object.keys(WORDS).join('|')} [ARGS]`);
    return 2;
  }
  const mistake = word === 'bench' ? benchMistake(ROOT, args, process.env) : undefined;
  if (mistake !== undefined) {
    say(`bench: ${mistake}`);
    return 2;
  }
  watchSignals();
  try {
    return await command(await prepare(word, args), args);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`podfence: ${error.message}`);
    return 1;
  }
}

process.exitCode = await main();
