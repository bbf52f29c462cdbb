/**
 * Tests that need root, real namespaces and queues. Without root they are skipped, and their names
 * say so.
 */
import { describe } from 'vitest';

const able = process.platform === 'linux' && process.getuid?.() === 0;

/**
 * `describe` for tests that need root on Linux. Elsewhere they are skipped, and their title says
 * why.
 */
export function describeAsRoot(title: string, tests: () => void): void {
  describe.skipIf(!able)(able ? title : `${title} (needs root on Linux)`, tests);
}
