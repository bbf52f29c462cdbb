/**
 * The declarations that the library ships: those that TypeScript reaches from its entry. All others
 * are internal.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Imports, re-exports and import types with a relative path, as tsc writes them. */
const RELATIVE_IMPORT = /\b(?:from|import)\s*\(?\s*['"](\.[^'"]+)\.[jt]s['"]/g;

/**
 * Removes every `*.d.ts` of a built package that its entry does not reach.
 * @param {string} dist folder of the built package
 * @param {string} entry the declarations of the package's entry, below `dist`
 */
export function pruneDeclarations(dist, entry) {
  const reachable = reachableFrom(join(dist, entry));
  for (const file of declarationsIn(dist)) {
    if (!reachable.has(file)) rmSync(file);
  }
}

/** @param {string} entry */
function reachableFrom(entry) {
  const reachable = new Set([entry]);
  for (const file of reachable) {
    for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(RELATIVE_IMPORT)) {
      reachable.add(join(dirname(file), `${path}.d.ts`));
    }
  }
  return reachable;
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function declarationsIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return declarationsIn(path);
    return entry.name.endsWith('.d.ts') ? [path] : [];
  });
}
