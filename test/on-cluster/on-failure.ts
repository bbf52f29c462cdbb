/**
 * Says which test runs, and keeps what the cluster looked like when a test or a hook of its file
 * failed.
 */
import { afterAll, afterEach, beforeEach, expect } from 'vitest';
import { collect } from './collected.ts';
import { say, stopWithProcess } from './shell.ts';
import { targetOfRun } from './target.ts';

stopWithProcess();

beforeEach(({ task }) => say(`── ${task.name}`));

let isCollected = false;
afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') return;
  isCollected = true;
  await collect(targetOfRun(), expect.getState().currentTestName ?? task.name);
}, 120_000);

// The first hook of a file to be registered is the last to run.
// biome-ignore lint/correctness/noEmptyPattern: vitest takes nothing but a pattern for the context.
afterAll(async ({}, { name, result }) => {
  if (result?.state === 'fail' && !isCollected) await collect(targetOfRun(), name);
}, 120_000);
