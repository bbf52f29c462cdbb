/**
 * What set-up is about to install. One line names it before anything is installed, or a refusal
 * lists it.
 */
import { commandLine } from './child.mjs';
import { installCommand } from './go-tools.mjs';
import { OLDEST_MAJOR, VERSION } from './node.mjs';
import { SetupError } from './output.mjs';

/**
 * Everything that is missing on this machine.
 * @typedef {object} Plan
 * @property {readonly import('./system-packages.mjs').SystemPackage[]} systemPackages
 * @property {boolean} node whether Node is too old, so that another is downloaded
 * @property {boolean} npmPackages
 * @property {readonly import('./go-tools.mjs').GoTool[]} goTools
 */

/**
 * Whether set-up may install what is missing: `PODFENCE_SETUP=no` forbids it.
 * @param {NodeJS.ProcessEnv} env
 * @throws {SetupError} for any other value: a typing error must not install anything
 */
export function mayInstall({ PODFENCE_SETUP: value = '' }) {
  if (!['', 'yes', 'no'].includes(value)) {
    throw new SetupError(`PODFENCE_SETUP: ${JSON.stringify(value)} is not accepted. It must be yes or no.`);
  }
  return value !== 'no';
}

/**
 * Whether nothing is missing.
 * @param {Plan} plan
 */
export function isComplete({ systemPackages, node, npmPackages, goTools }) {
  return systemPackages.length === 0 && !node && !npmPackages && goTools.length === 0;
}

/**
 * Returns one line that names everything that set-up is about to install.
 * @param {Plan} plan
 */
export function describePlan(plan) {
  const { systemPackages, node, npmPackages, goTools } = plan;
  const parts = [
    ...(systemPackages.length > 0 ? [`system packages ${namesOf(plan).join(', ')}`] : []),
    ...(node ? [`Node ${VERSION} in .cache`] : []),
    ...(npmPackages ? ['npm packages in node_modules'] : []),
    ...goTools.map(({ name, version }) => `${name} ${version} in .cache`),
  ];
  return `set-up installs: ${parts.join('; ')} (PODFENCE_SETUP=no installs nothing)`;
}

/**
 * Returns the refusal to install: what is missing, and the commands that install it by hand.
 * @param {Plan} plan
 * @param {string} cache set-up's folder
 */
export function refusal(plan, cache) {
  const { systemPackages, node, npmPackages, goTools } = plan;
  const lines = [
    'PODFENCE_SETUP=no, so nothing is installed. This is missing:',
    ...systemPackages.map(({ name, reason }) => `  ${name} (${reason})`),
    ...(node ? [`  Node ${OLDEST_MAJOR} or newer; this is ${process.versions.node}`] : []),
    ...(npmPackages ? ['  the npm packages of package-lock.json'] : []),
    ...goTools.map(({ name, version, reason }) => `  ${name} ${version} (${reason})`),
    'Install it, then run the same command again:',
    ...(systemPackages.length > 0
      ? [`  ${commandLine('apt-get', ['install', '--no-install-recommends', ...namesOf(plan)])}`]
      : []),
    ...(node ? [`  Node ${OLDEST_MAJOR}, from https://nodejs.org, first on the PATH`] : []),
    ...(npmPackages ? ['  npm ci --loglevel=error'] : []),
    ...goTools.map((tool) => `  ${installCommand(tool, cache)}`),
  ];
  return new SetupError(lines.join('\n'));
}

/** @param {Plan} plan */
function namesOf({ systemPackages }) {
  return systemPackages.map(({ name }) => name);
}
