#!/usr/bin/env node
/**
 * The command of the npm package. It starts the command line, or reports that Node is too old. It
 * uses only syntax that Node 12 can parse: no `await` outside functions.
 */
let isSettled = false;
const settle = () => {
  isSettled = true;
};

// Node itself fails with 13 when the main module awaits something that never settles.
process.once('beforeExit', () => {
  if (!isSettled && process.exitCode === undefined) process.exitCode = 13;
});

import('./node-required.ts').then(
  () => import('./cli.ts').then(settle),
  (error) => {
    process.stderr.write(`${error.message}\n`);
    // ExitCode.unavailable
    process.exit(3);
  },
);
