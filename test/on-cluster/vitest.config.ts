import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const ROOT = resolve(import.meta.dirname, '..', '..');

export default defineConfig({
  root: ROOT,
  test: {
    include: ['test/on-cluster/**/*.test.ts'],
    pool: 'forks',
    // One cluster, one installation: files run one after the other, sorted by name.
    fileParallelism: false,
    sequence: { sequencer: (await import('./by-name.ts')).ByName },
    testTimeout: 180_000,
    hookTimeout: 240_000,
    setupFiles: ['test/on-cluster/on-failure.ts'],
    disableConsoleIntercept: true,
  },
});
