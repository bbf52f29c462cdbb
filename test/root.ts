/** Tests that need root, real namespaces and queues, are skipped by name elsewhere. */
import { describe } from 'vitest';

const able = process.platform === 'linux' && process.getuid?.() === 0;

/** `describe` for tests that need root on Linux; without it they are skipped, and their title says why. */
export function describeAsRoot(title: string, tests: () => void): void {
  describe.skipIf(!able)(able ? title : `${title} (needs root on Linux)`, tests);
}
