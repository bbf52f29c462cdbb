/** What users run: the package as `npm run build` makes it, not the sources, which Node has to translate in the process that is measured. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = join(import.meta.dirname, '../..');

/** Builds the package; gives back its command line. */
export function buildPackage(): string {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.build.json')], { cwd: ROOT });
  return join(ROOT, 'dist/cli.js');
}

/** Writes modules that import nothing but one another as JavaScript, side by side into a folder; gives back the place of the first. */
export function translate(sources: readonly URL[], folder: string): URL {
  const [first] = sources.map((source) => {
    const text = stripTypeScriptTypes(readFileSync(source, 'utf8'));
    const file = join(folder, `${basename(source.pathname, '.ts')}.mjs`);
    writeFileSync(file, text.replaceAll(/'\.[^']*\/([\w-]+)\.ts'/g, "'./$1.mjs'"));
    return pathToFileURL(file);
  });
  return first as URL;
}
