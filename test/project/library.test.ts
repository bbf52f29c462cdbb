/**
 * The library as a project that depends on it sees it: built, installed by name, imported,
 * type-checked.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { patience } from '../patience.ts';
import { ProjectWithPodfence } from './built-package.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXAMPLE = join(ROOT, 'examples/ci/policies.test.ts');

/** Prints what an import of the library loads, on a pretended macOS. */
const IMPORT = `
import { isBuiltin, registerHooks } from 'node:module';
Object.defineProperty(process, 'platform', { value: 'darwin' });
const specifiers = [], urls = [];
registerHooks({
  resolve: (specifier, context, next) => (specifiers.push(specifier), next(specifier, context)),
  load: (url, context, next) => (urls.push(url), next(url, context)),
});
const before = process.getActiveResourcesInfo().length;
const library = await import('podfence');
console.log(JSON.stringify({
  names: Object.keys(library).sort(),
  members: Object.getOwnPropertyNames(library.CompiledCluster.prototype),
  packages: specifiers.filter((each) => /^[a-z@]/.test(each) && !isBuiltin(each) && each !== 'podfence'),
  urls,
  left: process.getActiveResourcesInfo().length - before,
}));
`;

interface Imported {
  readonly names: readonly string[];
  readonly members: readonly string[];
  readonly packages: readonly string[];
  readonly urls: readonly string[];
  readonly left: number;
}

/** Returns the room of a file below dist/: the folder that it is in. */
function roomOf(url: string): string {
  return /\/podfence\/dist\/([^/]+)/.exec(url)?.[1] ?? url;
}

describe('the library', () => {
  let project: ProjectWithPodfence;
  beforeAll(async () => {
    project = await ProjectWithPodfence.build();
    cpSync(join(ROOT, 'examples/three-tier'), join(project.folder, 'k8s'), { recursive: true });
    cpSync(EXAMPLE, join(project.folder, 'policies.test.ts'));
  }, patience(60_000));
  afterAll(() => project[Symbol.dispose]());

  const write = (file: string, text: string) => writeFileSync(join(project.folder, file), text);
  const importIt = () => JSON.parse(project.node('--input-type=module', '-e', IMPORT)) as Imported;
  /** Checks a file with TypeScript as in a strict project; returns its output. */
  const check = (file: string, ...more: readonly string[]) => {
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'esnext', '--types', 'node'];
    return project.run('typescript/bin/tsc', ...options, ...more, file);
  };
  /** Returns TypeScript's errors about a file; '' if there are none. */
  const complaints = (file: string) => {
    try {
      check(file);
      return '';
    } catch (error) {
      return String((error as { stdout: string }).stdout);
    }
  };

  test('exports what is documented, does nothing at import, and needs nothing native', () => {
    const { names, members, packages, left } = importIt();
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
    expect(members).toEqual(['constructor']);
    expect(new Set(packages)).toEqual(new Set(['ipaddr.js', 'yaml']));
    expect(left).toBe(0);
  });

  test('loads the rooms that judge, and none that run an agent', () => {
    const { urls } = importIt();
    const ofPodfence = urls.filter((url) => url.includes('/podfence/dist/'));
    expect([...new Set(ofPodfence.map(roomOf))].sort()).toEqual([
      'cluster',
      'explain',
      'filter',
      'index.js',
      'lint',
      'manifests',
      'matrix',
      'node-required.js',
      'packet',
      'policy',
    ]);
    const ofPackages = urls.filter((url) => url.includes('/node_modules/') && !ofPodfence.includes(url));
    const heavy = /koffi|client-node|prom-client|pino|\/cap\/|lru-cache|commander/;
    expect(ofPackages.length).toBeGreaterThan(0);
    expect(ofPackages.filter((url) => heavy.test(url))).toEqual([]);
  });

  test('runs the documented example, which holds for the shop', () => {
    const example = readFileSync(EXAMPLE, 'utf8').trimEnd();
    expect(readFileSync(join(ROOT, 'docs/ci.md'), 'utf8')).toContain(example);
    expect(example.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(15);
    expect(project.run('vitest/vitest.mjs', 'run', '--no-color')).toContain('2 passed');
  });

  test('has types that a strict project can check', () => {
    check('policies.test.ts');
    const wrong = "import { compile, judge, loadManifests } from 'podfence';\n";
    write('wrong.ts', `${wrong}judge(compile(await loadManifests([])), { from: 1 });\n`);
    expect(complaints('wrong.ts')).toContain('wrong.ts(2,');
  });

  test('keeps its inner parts from a project', () => {
    const uses = ['compiled.cluster', 'compiled.batch', 'compiled.explainer', 'new CompiledCluster()'];
    const imported = "import { CompiledCluster, compile, loadManifests } from 'podfence';\n";
    write('inner.ts', `${imported}const compiled = compile(await loadManifests('k8s'));\n${uses.join(';\n')};\n`);
    const lines = uses.map((_, index) => `inner.ts(${index + 3},`);
    const found = complaints('inner.ts');
    expect(lines.filter((line) => !found.includes(line))).toEqual([]);
  });

  test('ships the declarations that TypeScript reads for it, and no others', () => {
    const read = check('policies.test.ts', '--listFiles').split('\n');
    const dist = join(project.installed, 'dist/');
    const reached = read.filter((file) => file.startsWith(dist)).map((file) => `dist/${file.slice(dist.length)}`);
    const shipped = project.packedFiles();
    expect(reached).toContain('dist/index.d.ts');
    expect(shipped.filter((file) => file.endsWith('.d.ts')).sort()).toEqual(reached.sort());
    expect(shipped.filter((file) => !/^dist\/.*\.js$|\.d\.ts$|^examples\//.test(file)).sort()).toEqual([
      'LICENSE',
      'README.md',
      'package.json',
    ]);
  });

  test('loads manifests of one path or several, and refuses what is not a path', () => {
    const outcomes = (paths: readonly string[]) => {
      const script = `import { loadManifests } from 'podfence';
        const outcome = (...args) => loadManifests(...args).then(
          ({ snapshot }) => snapshot.policies.length, ({ code, message }) => [code, message]);
        console.log(JSON.stringify(await Promise.all([${paths.map((path) => `outcome(${path})`).join()}])));`;
      return JSON.parse(project.node('--input-type=module', '-e', script)) as readonly unknown[];
    };
    expect(outcomes(["'k8s/'", "['k8s/policies', 'k8s/']"])).toEqual([5, 5]);
    const refused = (given: string) => [
      'ERR_MANIFEST_OPTION',
      `loadManifests: a path must be a string that names a file or a folder; this one is ${given}`,
    ];
    expect(outcomes(["''", '42', 'null', '', "['k8s', '']", "['k8s', 42]", "[['k8s']]", 'new Set(["k8s"])'])).toEqual([
      refused('empty'),
      refused('of type number'),
      refused('null'),
      refused('of type undefined'),
      refused('empty'),
      refused('of type number'),
      refused('of type object'),
      refused('of type object'),
    ]);
    expect(outcomes(['[]'])).toEqual([['ERR_MANIFEST_OPTION', 'loadManifests: no path is given']]);
  });
});
