import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const ROOT = resolve(import.meta.dirname, '..', '..');

/** What runs on a stock kernel: what is about it, and of the other tests those that need nftables' queue. An emulated machine is some thirty times slower than its host. */
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
    // One process for all files: to load the modules takes a minute.
    pool: 'forks',
    isolate: false,
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 60_000,
    disableConsoleIntercept: true,
  },
});
