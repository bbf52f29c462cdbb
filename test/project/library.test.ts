/** The library as a project that depends on it sees it: built, installed by its name, imported, type-checked. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const MODULES = join(ROOT, 'node_modules');
const EXAMPLE = join(ROOT, 'examples/ci/policies.test.ts');

/** Tells what is imported, on what pretends to be macOS. */
const IMPORT = `
import { isBuiltin, registerHooks } from 'node:module';
Object.defineProperty(process, 'platform', { value: 'darwin' });
const specifiers = [];
registerHooks({ resolve: (specifier, context, next) => (specifiers.push(specifier), next(specifier, context)) });
const before = process.getActiveResourcesInfo().length;
const library = await import('podfence');
console.log(JSON.stringify({
  names: Object.keys(library).sort(),
  packages: specifiers.filter((each) => /^[a-z@]/.test(each) && !isBuiltin(each) && each !== 'podfence'),
  left: process.getActiveResourcesInfo().length - before,
}));
`;

describe('the library', () => {
  let project: string;
  const inProject = (command: string, ...args: readonly string[]) =>
    execFileSync(process.execPath, [join(MODULES, command), ...args], { cwd: project, encoding: 'utf8' });
  beforeAll(() => {
    project = mkdtempSync(join(tmpdir(), 'podfence-library-'));
    const installed = join(project, 'node_modules/podfence');
    mkdirSync(installed, { recursive: true });
    inProject('typescript/bin/tsc', '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(installed, 'dist'));
    cpSync(join(ROOT, 'package.json'), join(installed, 'package.json'));
    symlinkSync(MODULES, join(installed, 'node_modules'));
    for (const name of ['vitest', '@types']) symlinkSync(join(MODULES, name), join(project, 'node_modules', name));
    cpSync(join(ROOT, 'examples/three-tier'), join(project, 'k8s'), { recursive: true });
    cpSync(EXAMPLE, join(project, 'policies.test.ts'));
    writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  }, 60_000);
  afterAll(() => rmSync(project, { recursive: true }));

  test('offers what is documented, does nothing at import, and needs nothing native', () => {
    writeFileSync(join(project, 'import.mjs'), IMPORT);
    const output = execFileSync(process.execPath, ['import.mjs'], { cwd: project, encoding: 'utf8' });
    const { names, packages, left } = JSON.parse(output);
    expect(names).toEqual([
      'CompiledCluster',
      'FlowError',
      'compile',
      'explain',
      'judge',
      'lint',
      'loadManifests',
      'matrix',
    ]);
    expect(new Set(packages)).toEqual(new Set(['ipaddr.js', 'yaml']));
    expect(left).toBe(0);
  });

  test('runs the documented example, which is true of the shop', () => {
    const example = readFileSync(EXAMPLE, 'utf8').trimEnd();
    expect(readFileSync(join(ROOT, 'docs/ci.md'), 'utf8')).toContain(example);
    expect(example.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(15);
    expect(inProject('vitest/vitest.mjs', 'run', '--no-color')).toContain('2 passed');
  });

  test('has types that a strict project can check', () => {
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'esnext', '--types', 'node'];
    inProject('typescript/bin/tsc', ...options, 'policies.test.ts');
    const wrong =
      "import { compile, judge, loadManifests } from 'podfence';\njudge(compile(await loadManifests([])), { from: 1 });\n";
    writeFileSync(join(project, 'wrong.ts'), wrong);
    expect(() => inProject('typescript/bin/tsc', ...options, 'wrong.ts')).toThrow(/Command failed/);
  });
});
