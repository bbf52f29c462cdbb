#!/usr/bin/env node
/**
 * The command of the npm package: the command line, unless Node is too old for it. It keeps to what
 * a Node 12 can parse, which knows no `await` outside of functions.
 */
let isSettled = false;
const settle = () => {
  isSettled = true;
};

// As Node does it for the first module of a process: waiting for what never comes is a failure.
process.once('beforeExit', () => {
  if (!isSettled && process.exitCode === undefined) process.exitCode = 13;
});

import('./node-required.ts').then(
  () => import('./cli.ts').then(settle),
  (error) => {
    process.stderr.write(`${error.message}\n`);
    // As ExitCode.unavailable.
    process.exit(3);
  },
);
