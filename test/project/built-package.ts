/** The package as npm installs it, in a separate project. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { build } from '../../setup/build.mjs';

const ROOT = join(import.meta.dirname, '../..');
const MODULES = join(ROOT, 'node_modules');
/** What npm packs besides dist/. */
const SHIPPED = ['package.json', 'README.md', 'LICENSE', 'examples'];
/** Packages of the checkout that the project has, too. */
const LENT = ['vitest', '@types'];

export class ProjectWithPodfence implements Disposable {
  readonly folder: string;
  /** The folder in which podfence is installed. */
  readonly installed: string;

  /** @param folder folder of the project; it is removed at the end */
  private constructor(folder: string) {
    this.folder = folder;
    this.installed = join(folder, 'node_modules/podfence');
  }

  static async build(): Promise<ProjectWithPodfence> {
    const project = new ProjectWithPodfence(mkdtempSync(join(tmpdir(), 'podfence-project-')));
    const { folder, installed } = project;
    mkdirSync(installed, { recursive: true });
    const code = await build({ root: ROOT, env: project.environment() }, [], join(installed, 'dist'));
    if (code !== 0) throw new Error(`the package cannot be built: tsc ended with exit code ${code}`);
    for (const path of SHIPPED) cpSync(join(ROOT, path), join(installed, path), { recursive: true });
    symlinkSync(MODULES, join(installed, 'node_modules'));
    for (const name of LENT) symlinkSync(join(MODULES, name), join(folder, 'node_modules', name));
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    return project;
  }

  /**
   * Runs a file of one of the checkout's packages in the project; returns its output. Throws if it
   * fails.
   */
  run(command: string, ...args: readonly string[]): string {
    return this.node(join(MODULES, command), ...args);
  }

  /** Runs Node in the project; returns its output. Throws if it fails. */
  node(...args: readonly string[]): string {
    return execFileSync(process.execPath, args, { cwd: this.folder, encoding: 'utf8', env: this.environment() });
  }

  /** Returns the paths of the files that `npm pack` would ship. */
  packedFiles(): readonly string[] {
    const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const output = execFileSync('npm', args, { cwd: this.installed, encoding: 'utf8', env: this.environment() });
    const [pack] = JSON.parse(output) as readonly { readonly files: readonly { readonly path: string }[] }[];
    return pack?.files.map(({ path }) => path) ?? [];
  }

  /** Commands run under the same Node as the tests. */
  environment(): NodeJS.ProcessEnv {
    return { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}` };
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}
