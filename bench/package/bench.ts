/**
 * `npm run bench package`: what npm ships and installs, and what an import of the library loads.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build } from '../../setup/build.mjs';
import type { Bench } from '../harness/bench.ts';
import { bars } from '../harness/panels.ts';
import { type MeasuredRow, row, single } from '../harness/result.ts';

const ROOT = join(import.meta.dirname, '../..');
/** What npm packs besides dist/. */
const SHIPPED = ['package.json', 'README.md', 'LICENSE', 'examples'];

/** Prints the number of file modules that an import loads, and its time in ms. */
const IMPORT = `
import { registerHooks } from 'node:module';
const urls = new Set();
const hooks = process.argv[1] === 'count'
  ? registerHooks({ load: (url, context, next) => (urls.add(url), next(url, context)) })
  : undefined;
const start = performance.now();
await import('podfence');
const ms = performance.now() - start;
console.log(JSON.stringify({ ms, modules: [...urls].filter((url) => url.startsWith('file:')).length }));
`;

export const bench: Bench = {
  async run({ quick, progress }) {
    const rounds = quick ? 3 : 20;
    const project = mkdtempSync(join(tmpdir(), 'podfence-bench-package-'));
    try {
      progress('building');
      const installed = await installInto(project);
      progress('packing');
      const packed = packedRows(installed);
      progress('importing');
      const imported = importRows(project, rounds);
      return { parameters: { rounds }, rows: [...packed, ...installedRows(packed), ...imported] };
    } finally {
      rmSync(project, { recursive: true });
    }
  },
  panels: ({ rows }) => [
    bars(
      'Size',
      rows.filter(({ unit }) => unit === 'bytes'),
      { scale: 'log' },
    ),
  ],
};

/** Builds the package into the node_modules of a project; returns the package's folder. */
async function installInto(project: string): Promise<string> {
  const installed = join(project, 'node_modules/podfence');
  mkdirSync(installed, { recursive: true });
  const code = await build({ root: ROOT, env: environment() }, [], join(installed, 'dist'));
  if (code !== 0) throw new Error(`tsc ended with exit code ${code}`);
  for (const path of SHIPPED) cpSync(join(ROOT, path), join(installed, path), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(installed, 'node_modules'));
  return installed;
}

/** The tools run under the same Node as the benchmark. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}` };
}

interface Pack {
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

function packedRows(folder: string): MeasuredRow[] {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const output = execFileSync('npm', args, { cwd: folder, encoding: 'utf8', env: environment() });
  const [pack] = JSON.parse(output) as readonly Pack[];
  if (pack === undefined) throw new Error('npm pack says nothing');
  const declarations = pack.files.filter(({ path }) => path.endsWith('.d.ts')).length;
  return [
    single('files in the tarball', 'files', pack.files.length),
    single('declarations among them', 'files', declarations),
    single('tarball', 'bytes', pack.size),
    single('unpacked', 'bytes', pack.unpackedSize),
  ];
}

/** Counts the packages that `npm install podfence` installs on this platform, podfence included. */
function installedRows(packed: readonly MeasuredRow[]): MeasuredRow[] {
  const lockfile = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
  };
  const present = new Set(readdirSync(join(ROOT, 'node_modules'), { recursive: true, encoding: 'utf8' }));
  const paths = Object.entries(lockfile.packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true && present.has(path.slice('node_modules/'.length)))
    .map(([path]) => path);
  const own = packed.find(({ name }) => name === 'unpacked')?.value ?? 0;
  const bytes = paths.reduce((sum, path) => sum + bytesOf(join(ROOT, path)), own);
  return [single('packages installed', 'packages', paths.length + 1), single('installed tree', 'bytes', bytes)];
}

/** Returns the bytes of a package's files, without the packages inside it. */
function bytesOf(folder: string): number {
  let sum = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) sum += entry.name === 'node_modules' ? 0 : bytesOf(path);
    else if (entry.isFile()) sum += statSync(path).size;
  }
  return sum;
}

function importRows(project: string, rounds: number): MeasuredRow[] {
  const imported = (what: 'count' | 'time') => {
    const args = ['--input-type=module', '-e', IMPORT, what];
    const env = { ...environment(), NODE_COMPILE_CACHE: '' };
    const output = execFileSync(process.execPath, args, { cwd: project, encoding: 'utf8', env });
    return JSON.parse(output) as { ms: number; modules: number };
  };
  const times = Array.from({ length: rounds }, () => imported('time').ms);
  return [
    single('modules of an import', 'modules', imported('count').modules),
    row('an import of the library', 'ms', times),
  ];
}
