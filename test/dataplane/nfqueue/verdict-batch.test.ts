import { expect, it } from 'vitest';
import { VerdictBatch } from '../../../src/dataplane/nfqueue/verdict-batch.ts';

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

it('writes verdicts as the kernel reads them, one message each', () => {
  const batch = new VerdictBatch(0x1234, 2);
  batch.add(7, 1, 0x0100_4000);
  batch.add(0x8000_0001 | 0, 0, 0);
  const header = '28000000 0103 0100 00000000 00000000 00 00 1234'.replaceAll(' ', '');
  expect(hex(batch.bytes.subarray(0, batch.length))).toBe(
    `${header}0c000200${'00000001'}${'00000007'}08000300${'01004000'}${header}0c000200${'00000000'}${'80000001'}08000300${'00000000'}`,
  );
});

it('is empty after clear and overwrites its old content', () => {
  const batch = new VerdictBatch(1, 2);
  batch.add(1, 1, 1);
  const first = hex(batch.bytes.subarray(0, batch.length));
  batch.clear();
  expect(batch.length).toBe(0);
  batch.add(1, 1, 1);
  expect(hex(batch.bytes.subarray(0, batch.length))).toBe(first);
});
