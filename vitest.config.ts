import { defineConfig } from 'vitest/config';
import { measuredSlowness, PATIENCE_FACTOR } from './test/machine-speed.ts';

const factor = measuredSlowness();

/** Tests of code that keeps no state outside its objects share processes, and what is compiled. */
const ROOMS = [
  ...['cluster', 'conntrack', 'doctor', 'explain', 'filter', 'flows', 'frames', 'kube', 'lint', 'manifests', 'matrix'],
  ...['nri', 'packet', 'policy', 'telemetry'],
];
const SHARING = ROOMS.map((room) => `test/${room}/**/*.test.ts`);
/** Tests that replace modules, or measure memory. */
const ALONE = ['test/lint/many-blocks.test.ts', 'test/filter/allocation.test.ts'];

export default defineConfig({
  test: {
    projects: [
      { extends: true, test: { name: 'sharing', include: SHARING, exclude: ALONE, isolate: false } },
      {
        extends: true,
        test: {
          // A process a file: some hold raw sockets, network namespaces and native code.
          name: 'alone',
          include: [`test/!(${ROOMS.join('|')})/**/*.test.ts`, ...ALONE],
          // `npm run test:cluster` and `npm run test:kernel` run those.
          exclude: ['test/on-cluster/**', 'test/on-kernel/**'],
        },
      },
    ],
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
