/** npm: which one to call, the project's packages as the lockfile has them, and a single package by its checksum. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { commandLine, runCaptured } from './child.mjs';
import { elapsed, SetupError, say } from './output.mjs';

/** @typedef {import('./node.mjs').NodeRuntime} NodeRuntime */

/** Errors are shown (the project's .npmrc silences npm), adverts are not, and development packages come whatever NODE_ENV says. */
const CI = ['ci', '--loglevel=error', '--no-audit', '--no-fund', '--include=dev', '--include=optional'];

const ADVICE = 'check the network and the npm registry (`npm ping --loglevel=notice`), then run the same command again';

/**
 * What node_modules was made from: the same stamp means that nothing is to be done.
 * @param {string} lockfile content of package-lock.json
 * @param {string} nodeVersion
 * @param {string} [platform]
 */
export function packagesStamp(lockfile, nodeVersion, platform = `${process.platform}-${process.arch}`) {
  return `${createHash('sha256').update(lockfile).digest('hex')} node-${nodeVersion} ${platform}\n`;
}

/**
 * Are the packages of the lockfile installed, by and for this Node?
 * @param {string} root of the checkout
 * @param {NodeRuntime} node
 */
export function packagesReady(root, node) {
  const stampFile = stampPath(root);
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === currentStamp(root, node);
}

/**
 * Did somebody install the packages of the lockfile by hand? npm lists what it installed in
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
 * Installs what the lockfile says.
 * @param {string} root of the checkout
 * @param {NodeRuntime} node
 * @throws {SetupError}
 */
export async function installPackages(root, node) {
  const since = Date.now();
  say('installing npm packages (npm ci)');
  // Gone before npm touches anything: an interrupted installation must not look finished.
  rmSync(stampPath(root), { force: true });
  await npm(CI, root, npmEnvironment(node), 'could not install the npm packages', node.binary);
  writeFileSync(stampPath(root), currentStamp(root, node));
  say(`installed in ${elapsed(since)}`);
}

/**
 * Installs one package, checked against its checksum, into a folder.
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
 * @param {string} binary of the Node that is to run npm
 */
async function npm(args, cwd, env, failure, binary) {
  // Inside `npm run` npm says where it is; anything else there (yarn, pnpm) is not npm.
  const script = process.env.npm_execpath;
  const known = script !== undefined && basename(script) === 'npm-cli.js' && existsSync(script);
  const { ok, output } = known
    ? await runCaptured(binary, [script, ...args], { cwd, env })
    : await runCaptured('npm', args, { cwd, env });
  if (!ok) throw new SetupError(failure, { command: commandLine('npm', args), output, advice: ADVICE });
}

/**
 * npm and what it starts run under this Node, and node-gyp compiles against its headers: a nodedir of the user's own configuration
 * would be another Node's. A distribution's Node trusts the certificates of the system (a company's proxy is often among them), the
 * official build only does when told.
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
 * A command that an installed package brings.
 * @param {string} root of the checkout
 * @param {string} name
 */
export function localCommand(root, name) {
  return join(root, 'node_modules', '.bin', name);
}
