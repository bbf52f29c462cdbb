/**
 * A vitest reporter: lists the skipped tests with their reasons, and writes the counts for `npm
 * test` to the file that PODFENCE_TEST_RESULTS names.
 */
import { writeFileSync } from 'node:fs';

/** @typedef {{ passed: number, failed: number, skipped: number }} Results */
/** @typedef {import('vitest/node').TestModule} TestModule */
/** @typedef {import('vitest/node').Reporter} Reporter */

/** @implements {Reporter} */
export default class ResultsReporter {
  /**
   * @param {readonly TestModule[]} modules
   * @param {readonly unknown[]} unhandledErrors errors outside of any test
   */
  onTestRunEnd(modules, unhandledErrors) {
    const { results, skipped } = countResults(modules, unhandledErrors.length);
    if (skipped.length > 0) console.log(['', 'Skipped:', ...skipped.map((line) => `  ${line}`)].join('\n'));
    const file = process.env.PODFENCE_TEST_RESULTS;
    if (file !== undefined) writeFileSync(file, JSON.stringify(results));
  }
}

/**
 * Counts the results. A file that fails outside its tests (it cannot be loaded, a hook throws)
 * counts as one failure.
 * @param {readonly TestModule[]} modules
 * @param {number} failuresElsewhere
 * @returns {{ results: Results, skipped: string[] }} the skipped tests with file, name and reason
 */
export function countResults(modules, failuresElsewhere) {
  const results = { passed: 0, failed: failuresElsewhere, skipped: 0 };
  /** @type {string[]} */
  const skipped = [];
  for (const module of modules) {
    let failedInModule = 0;
    for (const test of module.children.allTests()) {
      const result = test.result();
      if (result.state === 'passed') results.passed++;
      if (result.state === 'failed') failedInModule++;
      if (result.state !== 'skipped') continue;
      results.skipped++;
      skipped.push(`${module.relativeModuleId} > ${test.fullName}${result.note ? ` (${result.note})` : ''}`);
    }
    results.failed += module.state() === 'failed' ? Math.max(failedInModule, 1) : failedInModule;
  }
  return { results, skipped };
}
