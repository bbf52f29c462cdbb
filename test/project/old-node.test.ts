/**
 * Every entry of the package under a Node that is too old: it prints one sentence, and does nothing
 * else.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { VERSION } from '../../setup/node.mjs';
import { packagesStamp } from '../../setup/npm.mjs';
import { patience } from '../patience.ts';
import { ProjectWithPodfence } from './built-package.ts';

const ROOT = join(import.meta.dirname, '../..');
const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const OLDEST = Number(/^>=(\d+)$/.exec(PACKAGE.engines.node)?.[1]);

interface OldNode {
  readonly name: string;
  readonly binary: string;
  readonly version: string;
  readonly flags: readonly string[];
}

/**
 * The Node that runs the tests, pretending to be another version. Its newer features are still
 * there.
 */
function pretending(version: string): OldNode {
  const script = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`;
  const flags = ['--import', `data:text/javascript,${encodeURIComponent(script)}`];
  return { name: `a Node that says it is ${version}`, binary: process.execPath, version, flags };
}

/** Returns a Node of the machine that is too old for podfence. Set-up runs on 18 and newer. */
function oldNodeOfMachine(): OldNode | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin'];
  for (const binary of folders.map((folder) => join(folder, 'node')).filter(existsSync)) {
    const { stdout } = spawnSync(binary, ['-p', 'process.versions.node'], { encoding: 'utf8' });
    const version = stdout?.trim() ?? '';
    const major = Number.parseInt(version, 10);
    if (major >= 18 && major < OLDEST) return { name: `Node ${version}`, binary, version, flags: [] };
  }
  return undefined;
}

const real = oldNodeOfMachine();
const refusal = (version: string) => `podfence needs Node ${OLDEST} or newer, and this is Node ${version}.\n`;

/** Without the variables of the npm and the vitest that run these tests. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|INIT_CWD|VITEST|PODFENCE|NODE_OPTIONS|NODE_COMPILE_CACHE)/.test(name),
  );
  return Object.fromEntries(own);
}

function run({ binary, flags }: OldNode, cwd: string, ...args: readonly string[]) {
  const options = { cwd, encoding: 'utf8', env: environment(), timeout: patience(20_000) } as const;
  const { status, stdout, stderr } = spawnSync(binary, [...flags, ...args], options);
  return { status, stdout, stderr };
}

/** A policy with a mistake that `lint --fix` corrects. */
const MISTAKE = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web }
spec: { podSelector: {}, policyType: [Ingress] }
`;

describe('the built package', () => {
  let project: ProjectWithPodfence;
  beforeAll(async () => {
    project = await ProjectWithPodfence.build();
  }, patience(60_000));
  afterAll(() => project[Symbol.dispose]());

  const entry = (path: string) => join(project.installed, path);
  const subcommands = () => {
    const source = readFileSync(join(ROOT, 'src/cli.ts'), 'utf8');
    const [, table = ''] = /const COMMANDS[^{]*= \{\n(.*?)\n\};/s.exec(source) ?? [];
    return [...table.matchAll(/^ {2}'?([\w-]+)'?: \{$/gm)].map(([, name = '']) => name);
  };

  const refuses = (old: OldNode) => {
    const refused = { status: 3, stdout: '', stderr: refusal(old.version) };
    for (const bin of Object.values<string>(PACKAGE.bin)) {
      for (const args of [[], ['--help'], ['--version'], ...subcommands().map((name) => [name])]) {
        expect(run(old, project.folder, entry(bin), ...args), args.join(' ')).toEqual(refused);
      }
    }
  };

  it('has a command line whose every subcommand refuses', () => {
    expect(subcommands().length).toBeGreaterThan(12);
    refuses(pretending('23.11.1'));
  });

  it.skipIf(real === undefined)(
    `refuses ${real?.name ?? 'an old Node (needs one on the machine)'}`,
    () => {
      if (real !== undefined) refuses(real);
    },
    patience(60_000),
  );

  const keepsFile = (old: OldNode) => {
    const file = join(project.folder, 'web.yaml');
    writeFileSync(file, MISTAKE);
    const { status } = run(old, project.folder, entry(PACKAGE.bin.podfence), 'lint', '--fix', '-m', file);
    expect({ status, text: readFileSync(file, 'utf8') }).toEqual({ status: 3, text: MISTAKE });
  };

  it('corrects no file before it refuses', () => keepsFile(real ?? pretending('23.11.1')));

  const importOf = (old: OldNode) => {
    const script = `import('podfence').then(() => console.log('loaded'), ({ message }) => console.log(message));`;
    return run(old, project.folder, '--input-type=module', '-e', script);
  };

  it('has a library whose import refuses', () => {
    expect(importOf(pretending('23.11.1')).stdout).toBe(refusal('23.11.1'));
  });

  it.skipIf(real === undefined)(
    `has one that ${real?.name ?? 'an old Node (needs one on the machine)'} can link`,
    () => {
      expect(real && importOf(real).stdout).toBe(refusal(real?.version ?? ''));
    },
  );

  it('takes the oldest Node that package.json names', () => {
    expect(importOf(pretending(`${OLDEST}.0.0`)).stdout).toBe('loaded\n');
  });

  it('fails if its command line waits forever', () => {
    const folder = mkdtempSync(join(tmpdir(), 'podfence-bin-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    for (const file of ['bin.js', 'node-required.js']) cpSync(entry(join('dist', file)), join(folder, file));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    const outcome = (cli: string) => {
      writeFileSync(join(folder, 'cli.js'), cli);
      return spawnSync(process.execPath, [join(folder, 'bin.js')], { timeout: patience(20_000) }).status;
    };
    expect(outcome('await new Promise(() => {});')).toBe(13);
    expect(outcome('await null;')).toBe(0);
    expect(outcome('process.exit(0);')).toBe(0);
    expect(outcome('throw new Error();')).toBe(1);
  });

  it('has only these entries', () => {
    expect(PACKAGE.bin).toEqual({ podfence: 'dist/bin.js' });
    expect(PACKAGE.exports).toEqual({
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './package.json': './package.json',
    });
  });
});

describe('a script of package.json', () => {
  const scripts = Object.entries<string>(PACKAGE.scripts);
  const PRINTS = 'process.stdout.write(process.versions.node);';
  const SOURCES = ['src/cli.ts', 'test/fuzz/run.ts', 'bench/run.ts', 'daemonset/generate/write.ts'];

  /** A checkout whose set-up finds the Node that it would download: the one of these tests. */
  function checkout(): string {
    const folder = mkdtempSync(join(tmpdir(), 'podfence-checkout-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    };
    for (const path of ['setup', 'package.json', 'package-lock.json', 'bench/benches.ts']) {
      cpSync(join(ROOT, path), join(folder, path), { recursive: true });
    }
    const node = `.cache/node/node_modules/node-${process.platform}-${process.arch}`;
    write(`${node}/package.json`, JSON.stringify({ version: VERSION }));
    write(`${node}/bin/node`, `#!/bin/sh\nexec '${process.execPath}' "$@"\n`);
    chmodSync(join(folder, node, 'bin/node'), 0o755);
    const lockfile = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
    write('node_modules/.podfence-setup', packagesStamp(lockfile, VERSION));
    for (const source of SOURCES) write(source, PRINTS);
    return folder;
  }

  it.each(scripts)('%s runs one of two files of setup/', (_, script) => {
    expect(script).toMatch(/^(exec )?node setup\/(start\.mjs [\w:]+|complete-lockfile\.mjs)$/);
  });

  it.each([['setup/start.mjs', 'podfence'], ['setup/complete-lockfile.mjs']])(
    'says what set-up itself needs if Node is older: %s',
    (...args) => {
      expect(run(pretending('16.20.2'), checkout(), ...args)).toEqual({
        status: 1,
        stdout: '',
        stderr: 'podfence: set-up needs Node 18 or newer, and this is Node 16.20.2.\n',
      });
    },
  );

  describe.skipIf(real === undefined)(`under ${real?.name ?? 'an old Node (needs one on the machine)'}`, () => {
    it.each(['podfence', 'fuzz', 'bench filter', 'manifests'])('%s runs on the newer one', (words) => {
      const outcome = real && run(real, checkout(), 'setup/start.mjs', ...words.split(' '));
      expect(outcome).toEqual({ status: 0, stdout: process.versions.node, stderr: '' });
    });

    it('lockfile runs', () => {
      const folder = checkout();
      expect(real && run(real, folder, 'setup/complete-lockfile.mjs')).toMatchObject({ status: 0, stderr: '' });
    });
  });
});
