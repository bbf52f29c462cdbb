/** What happens to everything that a test has started, shown in a separate test run. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** Runs tests; returns the names of those that passed and failed. */
function runTests(body: string): { readonly passed: readonly string[]; readonly failed: readonly string[] } {
  const folder = mkdtempSync(join(ROOT, '.cache', 'own-'));
  folders.push(folder);
  writeFileSync(
    join(folder, 'some.test.ts'),
    `import { spawn } from 'node:child_process';
     import { setTimeout } from 'node:timers/promises';
     import { expect, test } from 'vitest';
     import { endWithTest } from '${ROOT}/test/own.ts';
     ${body}`,
  );
  writeFileSync(
    join(folder, 'vitest.config.ts'),
    `export default { root: '${folder}', test: { include: ['*.test.ts'], setupFiles: ['${ROOT}/test/setup.ts'] } };`,
  );
  const results = join(folder, 'results.json');
  spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules/.bin/vitest'),
      'run',
      '--config',
      join(folder, 'vitest.config.ts'),
      '--reporter=json',
      `--outputFile=${results}`,
    ],
    { cwd: folder, env: { ...process.env, NODE_OPTIONS: '' } },
  );
  const { testResults } = JSON.parse(readFileSync(results, 'utf8')) as {
    testResults: readonly { assertionResults: readonly { title: string; status: string }[] }[];
  };
  const all = testResults.flatMap(({ assertionResults }) => assertionResults);
  const titled = (status: string) => all.filter((each) => each.status === status).map(({ title }) => title);
  return { passed: titled('passed'), failed: titled('failed') };
}

test('a test that times out takes its processes with it, and starts none during the next test', () => {
  const { passed, failed } = runTests(`
    const children = [];
    let refused;
    const start = () => {
      endWithTest(() => children.at(-1)?.kill());
      children.push(spawn('sleep', ['60']));
    };
    test('hangs', { timeout: 200 }, async () => {
      start();
      await setTimeout(500);
      try { start(); } catch (error) { refused = error.message; }
      await setTimeout(10_000);
    });
    test('comes after it', async () => {
      await expect.poll(() => children[0].signalCode).toBe('SIGTERM');
      start();
      await expect.poll(() => refused).toBe('the test is over');
      expect(children).toHaveLength(2);
      expect(children[1].signalCode).toBeNull();
    });
    test('sees that the one before has ended its own', async () => {
      await expect.poll(() => children[1].signalCode).toBe('SIGTERM');
    });`);
  expect(failed).toEqual(['hangs']);
  expect(passed).toEqual(['comes after it', 'sees that the one before has ended its own']);
});
