import { describe, expect, it } from 'vitest';
import { finishChecksum, partsOf } from '../../src/wire/sctp-packets.ts';

/** Returns a packet with chunks of these lengths, headers included, after a common header. */
function packet(...lengths: readonly number[]): DataView {
  const padded = lengths.map((length) => (length + 3) & ~3);
  const view = new DataView(new ArrayBuffer(12 + padded.reduce((sum, length) => sum + length, 0)));
  let at = 12;
  for (const [i, length] of lengths.entries()) {
    view.setUint16(at + 2, length);
    at += padded[i] as number;
  }
  return view;
}

describe('an SCTP packet', () => {
  it('gets the checksum of RFC 9260 if it has none', () => {
    // The CRC32c of 32 zeros (RFC 3720 appendix B.4), in SCTP's byte order.
    const view = new DataView(new ArrayBuffer(32));
    finishChecksum(view, 0, 32);
    expect(view.getUint32(8)).toBe(0xaa36918a);
  });

  it('keeps an existing checksum', () => {
    const view = new DataView(new ArrayBuffer(32));
    view.setUint32(8, 7);
    finishChecksum(view, 0, 32);
    expect(view.getUint32(8)).toBe(7);
  });

  it('is split between its chunks, with as many in a part as fit', () => {
    const view = packet(100, 102, 400, 40);
    expect(partsOf(view, 0, view.byteLength, 12 + 204)).toBeUndefined();
    expect(partsOf(view, 0, view.byteLength, 12 + 400)).toEqual([12 + 204, 12 + 604, 12 + 644]);
    expect(partsOf(view, 0, view.byteLength, 12 + 604)).toEqual([12 + 604, 12 + 644]);
    expect(partsOf(view, 0, view.byteLength, 12 + 644)).toEqual([12 + 644]);
  });

  it('with chunks without a length does not loop forever', () => {
    expect(partsOf(new DataView(new ArrayBuffer(60)), 0, 60, 40)).toHaveLength(2);
  });
});
