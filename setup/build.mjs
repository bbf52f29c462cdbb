/**
 * `npm run build`: builds the publishable package into dist/, as JavaScript with the types of the
 * library.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runInForeground } from './child.mjs';
import { pruneDeclarations } from './declarations.mjs';
import { localCommand } from './npm.mjs';

/** @typedef {import('./run.mjs').Checkout} Checkout */

/**
 * @param {Pick<Checkout, 'root' | 'env'>} checkout
 * @param {readonly string[]} [_args]
 * @param {string} [dist] the folder to build into
 * @returns {Promise<number>} exit code
 */
export async function build({ root, env }, _args = [], dist = join(root, 'dist')) {
  rmSync(dist, { recursive: true, force: true });
  const code = await runInForeground(localCommand(root, 'tsc'), ['-p', 'tsconfig.build.json', '--outDir', dist], {
    cwd: root,
    env,
  });
  if (code === 0) pruneDeclarations(dist, 'index.d.ts');
  return code;
}
