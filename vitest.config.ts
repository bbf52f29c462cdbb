import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // `npm run test:cluster` and `npm run test:kernel` run those.
    exclude: ['test/on-cluster/**', 'test/on-kernel/**'],
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
