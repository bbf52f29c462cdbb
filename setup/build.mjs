/** `npm run build`: the publishable package in dist/, as JavaScript with types. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInForeground } from './child.mjs';
import { localCommand } from './npm.mjs';

/** @typedef {import('./run.mjs').Checkout} Checkout */

/**
 * @param {Checkout} checkout
 * @returns {Promise<number>} exit code
 */
export async function build({ root, env }) {
  const dist = join(root, 'dist');
  rmSync(dist, { recursive: true, force: true });
  const code = await runInForeground(localCommand(root, 'tsc'), ['-p', 'tsconfig.build.json'], { cwd: root, env });
  if (code !== 0) return code;
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.js')) rewriteUrls(join(dist, file));
  }
  return 0;
}

/** @param {string} file */
function rewriteUrls(file) {
  const source = readFileSync(file, 'utf8');
  const rewritten = withBuiltUrls(source);
  if (rewritten !== source) writeFileSync(file, rewritten);
}

/**
 * tsc turns `.ts` into `.js` in imports, but not in the addresses of files that are started as threads or processes:
 * `new URL('./worker.ts', import.meta.url)`.
 * @param {string} source
 */
export function withBuiltUrls(source) {
  return source.replace(/(new URL\(\s*(['"])\.{1,2}\/[^'"]*)\.ts(\2,\s*import\.meta\.url\s*,?\s*\))/g, '$1.js$3');
}
