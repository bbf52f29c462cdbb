import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // `npm run test:cluster` runs those.
    exclude: ['test/on-cluster/**'],
    // A process a file: some hold raw sockets, network namespaces and native code.
    pool: 'forks',
    // Tests with real packets share the machine's kernel: more than two at once would only make each other slow.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Time for namespaces to be taken down.
    teardownTimeout: 20_000,
  },
});
