import { defineConfig } from 'vitest/config';
import { measuredSlowness, PATIENCE_FACTOR } from './test/machine-speed.ts';

const factor = measuredSlowness();

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // `npm run test:cluster` and `npm run test:kernel` run those.
    exclude: ['test/on-cluster/**', 'test/on-kernel/**'],
    // A process a file: some hold raw sockets, network namespaces and native code.
    pool: 'forks',
    // Tests with real packets share the machine's kernel: more than two at once would only make each other slow.
    maxWorkers: 2,
    setupFiles: ['test/setup.ts'],
    env: { [PATIENCE_FACTOR]: String(factor) },
    testTimeout: 30_000 * factor,
    hookTimeout: 60_000 * factor,
    expect: { poll: { timeout: 20_000 * factor } },
    // Time for namespaces to be taken down.
    teardownTimeout: 20_000 * factor,
  },
});
