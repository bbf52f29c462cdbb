/**
 * Test tools that are Go modules. Set-up builds them if Go is installed; otherwise their tests are
 * skipped by name.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runCaptured } from './child.mjs';
import { elapsed, SetupError, say } from './output.mjs';
import { findCommand } from './system-packages.mjs';

/** @typedef {{ name: string, package: string, version: string, reason: string }} GoTool */

/** @type {readonly GoTool[]} */
const TOOLS = [
  {
    name: 'actionlint',
    package: 'github.com/rhysd/actionlint/cmd/actionlint',
    version: 'v1.7.12',
    reason: 'tests of workflows',
  },
];

/**
 * Returns the tools that are neither on the PATH nor built; none if there is no Go to build them.
 * @param {string} cache set-up's folder
 * @param {string} path folders to look in, as in PATH
 * @returns {readonly GoTool[]}
 */
export function missingGoTools(cache, path) {
  if (findCommand('go', path) === undefined) return [];
  return TOOLS.filter(({ name }) => findGoTool(name, cache, path) === undefined);
}

/**
 * Returns the path of a tool's binary, if there is one.
 * @param {string} name
 * @param {string} cache set-up's folder
 * @param {string} path folders to look in, as in PATH
 * @returns {string | undefined}
 */
export function findGoTool(name, cache, path) {
  const tool = TOOLS.find((each) => each.name === name);
  const built = tool && join(folderOf(tool, cache), name);
  return built !== undefined && existsSync(built) ? built : findCommand(name, path);
}

/**
 * Returns the command that builds a tool where `findGoTool` looks for it.
 * @param {GoTool} tool
 * @param {string} cache
 */
export function installCommand(tool, cache) {
  return `GOBIN=${folderOf(tool, cache)} go install ${tool.package}@${tool.version}`;
}

/**
 * @param {readonly GoTool[]} missing
 * @param {string} cache
 * @param {string} path folders to look for commands in, as in PATH
 * @throws {SetupError}
 */
export async function installGoTools(missing, cache, path) {
  for (const tool of missing) {
    const since = Date.now();
    say(`building ${tool.name} ${tool.version} (${tool.reason})`);
    const env = { ...process.env, PATH: path, GOBIN: folderOf(tool, cache) };
    const { ok, output } = await runCaptured('go', ['install', `${tool.package}@${tool.version}`], { env });
    if (!ok) {
      throw new SetupError(`could not build ${tool.name}`, { command: installCommand(tool, cache), output });
    }
    say(`built in ${elapsed(since)}`);
  }
}

/**
 * @param {GoTool} tool
 * @param {string} cache
 */
function folderOf({ name, version }, cache) {
  return join(cache, 'go', `${name}@${version}`);
}
