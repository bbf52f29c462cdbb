/**
 * npm: finds it, installs the project's packages from the lockfile, and installs a single package
 * by its checksum.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { commandLine, runCaptured } from './child.mjs';
import { elapsed, SetupError, say } from './output.mjs';

/** @typedef {import('./node.mjs').NodeRuntime} NodeRuntime */

/**
 * Shows errors (the project's .npmrc silences npm) but no adverts, and installs development
 * packages whatever NODE_ENV is.
 */
const CI = ['ci', '--loglevel=error', '--no-audit', '--no-fund', '--include=dev', '--include=optional'];

const ADVICE = 'check the network and the npm registry (`npm ping --loglevel=notice`), then run the same command again';

/**
 * Returns a stamp of what node_modules is installed from: with the same stamp there is nothing to
 * do.
 * @param {string} lockfile content of package-lock.json
 * @param {string} nodeVersion
 * @param {string} [platform]
 */
export function packagesStamp(lockfile, nodeVersion, platform = `${process.platform}-${process.arch}`) {
  return `${createHash('sha256').update(lockfile).digest('hex')} node-${nodeVersion} ${platform}\n`;
}

/**
 * Whether set-up installed the lockfile's packages for this Node.
 * @param {string} root of the checkout
 * @param {NodeRuntime} node
 */
export function packagesReady(root, node) {
  const stampFile = stampPath(root);
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === currentStamp(root, node);
}

/**
 * Whether the lockfile's packages are installed, even by hand. npm lists what it installed in
 * node_modules/.package-lock.json. Optional packages may be missing.
 * @param {string} root of the checkout
 */
export function packagesInstalled(root) {
  const list = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(list)) return false;
  const installed = JSON.parse(readFileSync(list, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional || installed[path]?.version === version,
  );
}

/**
 * Installs the packages of the lockfile.
 * @param {string} root of the checkout
 * @param {NodeRuntime} node
 * @throws {SetupError}
 */
export async function installPackages(root, node) {
  const since = Date.now();
  say('installing npm packages (npm ci)');
  // Removed before npm changes anything: an interrupted installation must not look complete.
  rmSync(stampPath(root), { force: true });
  await npm(CI, root, npmEnvironment(node), 'could not install the npm packages', node.binary);
  writeFileSync(stampPath(root), currentStamp(root, node));
  say(`installed in ${elapsed(since)}`);
}

/**
 * Installs one package into a folder and verifies its checksum.
 * @param {string} folder
 * @param {{ name: string, version: string, integrity: string }} pinned
 * @throws {SetupError}
 */
export async function installExactly(folder, { name, version, integrity }) {
  const dependencies = { [name]: version };
  const packages = { '': { dependencies }, [`node_modules/${name}`]: { version, integrity } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ lockfileVersion: 3, requires: true, packages }));
  await npm(
    [...CI, '--ignore-scripts'],
    folder,
    process.env,
    `could not download ${name} ${version}`,
    process.execPath,
  );
}

/**
 * @param {readonly string[]} args
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 * @param {string} failure
 * @param {string} binary the Node that runs npm
 */
async function npm(args, cwd, env, failure, binary) {
  // Inside `npm run`, npm_execpath names npm, or another package manager (yarn, pnpm).
  const script = process.env.npm_execpath;
  const known = script !== undefined && basename(script) === 'npm-cli.js' && existsSync(script);
  const { ok, output } = known
    ? await runCaptured(binary, [script, ...args], { cwd, env })
    : await runCaptured('npm', args, { cwd, env });
  if (!ok) throw new SetupError(failure, { command: commandLine('npm', args), output, advice: ADVICE });
}

/**
 * Returns the environment in which npm and its children run under this Node, and node-gyp compiles
 * against its headers: a nodedir in the user's configuration belongs to another Node. A
 * distribution's Node trusts the system's certificates (often including a company proxy's); the
 * official build does so only when told to.
 * @param {NodeRuntime} node
 */
function npmEnvironment(node) {
  const PATH = `${dirname(node.binary)}${delimiter}${process.env.PATH ?? ''}`;
  const env = { NODE_USE_SYSTEM_CA: '1', ...process.env, PATH };
  return node.headers === undefined ? env : { ...env, npm_config_nodedir: node.headers };
}

/** @param {string} root */
function stampPath(root) {
  return join(root, 'node_modules', '.podfence-setup');
}

/**
 * @param {string} root
 * @param {NodeRuntime} node
 */
function currentStamp(root, node) {
  return packagesStamp(readFileSync(join(root, 'package-lock.json'), 'utf8'), node.version);
}

/**
 * Returns the path of a command of an installed package.
 * @param {string} root of the checkout
 * @param {string} name
 */
export function localCommand(root, name) {
  return join(root, 'node_modules', '.bin', name);
}
