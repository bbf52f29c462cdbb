/**
 * `npm test`: the checks of the sources, then the tests. Everything runs even if something fails,
 * and the last line is the total.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCaptured, runInForeground } from './child.mjs';
import { localCommand } from './npm.mjs';
import { elapsed } from './output.mjs';

/** @typedef {import('./run.mjs').Checkout} Checkout */
/** @typedef {import('./results-reporter.mjs').Results} Results */

/** @type {readonly { title: string, command: string, args: readonly string[] }[]} */
const CHECKS = [
  { title: 'lint and format (biome)', command: 'biome', args: ['ci', '--error-on-warnings', '--max-diagnostics=50'] },
  { title: 'types (tsc)', command: 'tsc', args: ['--noEmit'] },
  { title: 'unused code and packages (knip)', command: 'knip', args: [] },
];

/**
 * @param {Checkout} checkout
 * @param {readonly string[]} args for vitest; with any of them the checks are left out
 * @returns {Promise<number>} exit code
 */
export async function test(checkout, args) {
  const checks = args.length === 0 ? await runChecks(checkout) : { passed: 0, failed: 0 };
  const { results, code } = await runTests(checkout, args);
  const passed = checks.passed + (results?.passed ?? 0);
  const failed = checks.failed + (results?.failed ?? 0);
  const ran = (results?.passed ?? 0) + (results?.failed ?? 0) > 0;
  const unexplained = failed === 0 && (code !== 0 || !ran);
  if (unexplained) console.log(code === 0 ? 'no test ran' : `vitest ended with exit code ${code}`);
  console.log(totalLine({ passed, failed: failed + (unexplained ? 1 : 0), skipped: results?.skipped ?? 0 }));
  return code !== 0 ? code : failed > 0 || unexplained ? 1 : 0;
}

/**
 * Returns the total, for programs to read: it stands alone on the last line.
 * @param {Results} results
 */
export function totalLine({ passed, failed, skipped }) {
  return `total: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** @param {Checkout} checkout */
async function runChecks({ root, env }) {
  const colour = process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' };
  let failed = 0;
  for (const { title, command, args } of CHECKS) {
    const since = Date.now();
    const { ok, output } = await runCaptured(localCommand(root, command), args, {
      cwd: root,
      env: { ...env, ...colour },
    });
    console.log(`${ok ? '✓' : '✗'} ${title}: ${ok ? 'clean' : 'failed'}, ${elapsed(since)}`);
    if (!ok) console.log(output.trimEnd());
    if (!ok) failed++;
  }
  return { passed: CHECKS.length - failed, failed };
}

/**
 * @param {Checkout} checkout
 * @param {readonly string[]} args
 * @returns {Promise<{ results: Results | undefined, code: number }>}
 */
async function runTests({ root, env }, args) {
  const folder = mkdtempSync(join(tmpdir(), 'podfence-test-'));
  const file = join(folder, 'results.json');
  // Our reporter comes first: it lists the skipped tests, and vitest's own summary should follow
  // that list.
  const output = [`--reporter=${join(root, 'setup', 'results-reporter.mjs')}`];
  if (!args.some((argument) => argument.startsWith('--reporter'))) output.push('--reporter=default');
  if (!process.stdout.isTTY) output.push('--no-color');
  try {
    const code = await runInForeground(localCommand(root, 'vitest'), ['run', ...output, ...args], {
      cwd: root,
      env: { ...env, PODFENCE_TEST_RESULTS: file },
    });
    return { results: readResults(file), code };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {string} file
 * @returns {Results | undefined} undefined if vitest ended without a result
 */
function readResults(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
