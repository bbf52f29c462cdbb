import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const ROOT = resolve(import.meta.dirname, '..', '..');

/**
 * The tests that run on a stock kernel: those about it, and others that need nftables' queue. An
 * emulated machine is about thirty times slower than its host.
 */
export default defineConfig({
  root: ROOT,
  test: {
    include: [
      'test/on-kernel/**/*.test.ts',
      'test/scenarios/nftables.test.ts',
      'test/scenarios/icmp.test.ts',
      'test/dataplane/steering/probe.test.ts',
      'test/netlink/nftables-notices.test.ts',
    ],
    // One process for all files, because loading the modules takes a minute.
    pool: 'forks',
    isolate: false,
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 60_000,
    disableConsoleIntercept: true,
  },
});
