/**
 * `node setup/run.mjs demo|podfence|test|fuzz|faults|test:cluster|test:kernel|bench|build|manifests [ARGS]`: makes a checkout ready (system packages, a Node that is new enough, npm
 * packages) and runs the command. Plain JavaScript without packages, because nothing is installed yet and the Node may be an old one
 * (18 or newer). What is ready is recognised by a few files and one checksum; only missing things are installed, and named.
 */
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchMistake, benchSendsPackets } from './bench.mjs';
import { build } from './build.mjs';
import { runInForeground, watchSignals } from './child.mjs';
import { withLock } from './lock.mjs';
import { downloadNode, readyNode } from './node.mjs';
import { installPackages as installNpmPackages, packagesReady } from './npm.mjs';
import { SetupError, say } from './output.mjs';
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

/**
 * The checkout, ready to run commands in.
 * @typedef {object} Checkout
 * @property {string} root folder of the checkout
 * @property {string} node path of the Node binary
 * @property {NodeJS.ProcessEnv} env environment in which `node` and administrators' commands are found
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
 * The command line.
 * @param {Checkout} checkout
 * @param {readonly string[]} args
 */
function podfence(checkout, args) {
  return runSource(checkout, 'src/cli.ts', args);
}

/**
 * Runs a source file in the folder in which the user typed the command: npm changes to the checkout's.
 * @param {Checkout} checkout
 * @param {string} file inside the checkout
 * @param {readonly string[]} args
 */
function runSource({ root, node, env }, file, args) {
  const cwd = env.npm_lifecycle_event === undefined ? undefined : env.INIT_CWD;
  return runInForeground(node, [join(root, file), ...args], cwd === undefined ? { env } : { env, cwd });
}

/**
 * Does the command send packets through network namespaces? Then it needs the system's commands.
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
  await prepareSystem(word, args);
  const node = readyNode(NODE_FOLDER);
  const ready =
    node !== undefined && packagesReady(ROOT, node) ? node : await withLock(join(CACHE, 'setup.lock'), install);
  const path = dirname(ready.binary) + delimiter + PATH;
  // Processes of one command, and of the next, take over what was compiled: without it each start spends half a second more on types.
  return { root: ROOT, node: ready.binary, env: { NODE_COMPILE_CACHE: COMPILED, ...process.env, PATH: path } };
}

/** Looks again first: another process may have done it while we waited for the lock. */
async function install() {
  const node = readyNode(NODE_FOLDER) ?? (await downloadNode(NODE_FOLDER));
  if (packagesReady(ROOT, node)) return node;
  await prepareCapture();
  await installNpmPackages(ROOT, node);
  return node;
}

/** What the package that captures is built with, before npm builds it: npm goes without where it cannot, for the package is optional. */
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
 * @param {string} word
 * @param {readonly string[]} args
 */
async function prepareSystem(word, args) {
  const missing = sendsPackets(word, args) ? missingPackages(PATH) : [];
  const obstacle = installObstacle({ path: PATH });
  if (missing.length > 0 && obstacle === undefined) {
    await withLock(join(CACHE, 'setup.lock'), async () => {
      const still = missingPackages(PATH);
      if (still.length > 0) await installSystemPackages(still, PATH);
    });
  } else if (missing.length > 0 && obstacle !== undefined) {
    say(describeMissing(missing, obstacle));
  } else if (word === 'test' && (process.platform !== 'linux' || process.getuid?.() !== 0)) {
    say('not root on Linux: tests that need network namespaces are skipped by name, all others run.');
  }
  if (obstacle !== undefined) return;
  if (word === 'test') await prepareMore(missingBrowser, 'tests that need a browser are skipped by name');
  if (word === 'test:cluster') await prepareMore(missingForCluster, 'no cluster can be brought up on this machine');
  if (word === 'test:kernel') await prepareMore(missingForKernel, 'the run is skipped by name');
  if (word === 'bench' && sendsPackets(word, args)) {
    await prepareMore(missingLoadGenerators, 'benchmarks that need them are left out by name');
  }
}

/**
 * Packages that not everything needs: a system that does not have them goes without.
 * @param {(path: string) => readonly import('./system-packages.mjs').SystemPackage[]} missing
 * @param {string} without what that means
 */
async function prepareMore(missing, without) {
  if (missing(PATH).length === 0) return;
  try {
    await withLock(join(CACHE, 'setup.lock'), async () => {
      const still = missing(PATH);
      if (still.length > 0) await installSystemPackages(still, PATH);
    });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
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
