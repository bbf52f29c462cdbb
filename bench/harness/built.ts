/**
 * The package as users run it, built by `npm run build`. The sources would not do: Node would have
 * to translate them in the measured process.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = join(import.meta.dirname, '../..');

/** Builds the package; returns the path of its command line. */
export function buildPackage(): string {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.build.json')], { cwd: ROOT });
  return join(ROOT, 'dist/cli.js');
}

/**
 * Writes modules that import only one another as JavaScript, side by side into a folder; returns
 * the URL of the first.
 */
export function translate(sources: readonly URL[], folder: string): URL {
  const [first] = sources.map((source) => {
    const text = stripTypeScriptTypes(readFileSync(source, 'utf8'));
    const file = join(folder, `${basename(source.pathname, '.ts')}.mjs`);
    writeFileSync(file, text.replaceAll(/'\.[^']*\/([\w-]+)\.ts'/g, "'./$1.mjs'"));
    return pathToFileURL(file);
  });
  return first as URL;
}
