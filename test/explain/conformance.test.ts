/**
 * Every flow of the conformance cases, as lines for `podfence explain --batch`. Skipped without the
 * files.
 */
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Batch } from '../../src/explain/batch.ts';
import { FILES, readCases, snapshotOf } from '../policy/conformance-cases.ts';

describe.skipIf(FILES.length === 0)('conformance of batches (needs the files in PODFENCE_CONFORMANCE)', () => {
  test.each(FILES)('every flow of %s has the expected answer, each direction by itself', (file) => {
    let count = 0;
    const differing: string[] = [];
    for (const { description, steps } of readCases(file)) {
      for (const [index, step] of steps.entries()) {
        const batch = new Batch(snapshotOf(step), []);
        for (const { egress, ingress, ...flow } of step.flows) {
          // A pod always reaches itself, whatever its policies.
          if (flow.from === flow.to) continue;
          count++;
          const answer = batch.answer(JSON.stringify(flow));
          const expected = { ...flow, egress: word(egress), ingress: word(ingress), verdict: word(egress && ingress) };
          const { reason, ...verdicts } = answer;
          if (!isDeepStrictEqual(verdicts, expected)) {
            differing.push(`${description}, step ${index}: ${JSON.stringify({ expected, answer })}`);
          }
        }
      }
    }
    console.log(`conformance of batches: ${file}: ${count - differing.length} of ${count} flows agree`);
    expect(count).toBeGreaterThan(0);
    expect(differing.slice(0, 5)).toEqual([]);
  });
});

function word(allowed: boolean): string {
  return allowed ? 'allow' : 'deny';
}
