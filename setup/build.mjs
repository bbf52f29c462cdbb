/** `npm run build`: the publishable package in dist/, as JavaScript with types. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runInForeground } from './child.mjs';
import { localCommand } from './npm.mjs';

/** @typedef {import('./run.mjs').Checkout} Checkout */

/**
 * @param {Checkout} checkout
 * @returns {Promise<number>} exit code
 */
export function build({ root, env }) {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  return runInForeground(localCommand(root, 'tsc'), ['-p', 'tsconfig.build.json'], { cwd: root, env });
}
