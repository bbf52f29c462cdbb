import { expect, test } from 'vitest';
import { crc32c, decodeSctp, encodeSctp, INIT, INIT_ACK } from '../../../src/lab/traffic/sctp-chunk.ts';

test('the checksum is CRC32c: the check value of its catalogue entry', () => {
  expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
});

test('INIT and INIT ACK are read as they were written', () => {
  const init = {
    sourcePort: 1,
    destinationPort: 65_535,
    verificationTag: 0,
    chunk: INIT,
    initiateTag: 0xf000_0001,
    cookie: '',
  } as const;
  expect(decodeSctp(encodeSctp(init))).toEqual(init);
  for (const cookie of ['', 'a', 'abcd', 'shop/web saw 10.0.0.1 5\n']) {
    const ack = { ...init, chunk: INIT_ACK, verificationTag: 7, cookie } as const;
    const bytes = encodeSctp(ack);
    expect(bytes.length % 4).toBe(0);
    expect(decodeSctp(bytes)).toEqual(ack);
  }
});

test('an INIT has the layout of RFC 9260', () => {
  const bytes = encodeSctp({
    sourcePort: 0x1234,
    destinationPort: 80,
    verificationTag: 0,
    chunk: INIT,
    initiateTag: 0x01020304,
    cookie: '',
  });
  expect([...bytes.subarray(0, 8)]).toEqual([0x12, 0x34, 0, 80, 0, 0, 0, 0]);
  expect([...bytes.subarray(12, 20)]).toEqual([1, 0, 0, 20, 1, 2, 3, 4]);
});

test('a changed or truncated chunk, and one of another type, is rejected', () => {
  const bytes = encodeSctp({
    sourcePort: 1,
    destinationPort: 2,
    verificationTag: 3,
    chunk: INIT_ACK,
    initiateTag: 4,
    cookie: 'x',
  });
  for (let length = 0; length < bytes.length; length++) expect(decodeSctp(bytes.slice(0, length))).toBeUndefined();
  for (let i = 0; i < bytes.length; i++) {
    const changed = bytes.slice();
    changed[i] = (changed[i] ?? 0) ^ 0x40;
    expect(decodeSctp(changed)).toBeUndefined();
  }
});
