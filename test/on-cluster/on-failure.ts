/**
 * Prints which test runs, and saves the cluster's state when a test or a hook of its file fails.
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

// The first registered hook of a file runs last.
// biome-ignore lint/correctness/noEmptyPattern: vitest takes nothing but a pattern for the context.
afterAll(async ({}, { name, result }) => {
  if (result?.state === 'fail' && !isCollected) await collect(targetOfRun(), name);
}, 120_000);
