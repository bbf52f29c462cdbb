import { describe, expect, it } from 'vitest';
import { QueuedPacket } from '../../../src/dataplane/nfqueue/queued-packet.ts';

/**
 * NFQNL_MSG_PACKET as a 6.18 kernel sent them for queue 100: an echo request of 84 bytes, whole;
 * one of 1028 bytes, cut to 128, with packet mark 0x4000.
 */
const WHOLE = bytes(`
  ac000000000300000000000000000000 02000064
  0b000100 00000001 0800 02 00  08000500 00000002  08000600 00000003
  10000900 00060000 eef8674713290000  14000400 00000000 6b00debd 00000000 06ac0258
  58000a00 45000054dae240003f0149c30a0001020a000202080015de1b590001bdde006b0000000043ab060000000000
  101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637`);
const CUT = bytes(`
  e8000000000300000000000000000000 02000064
  0b000100 00000001 0800 02 00  08000500 00000002  08000600 00000003  08000300 00004000
  10000900 00060000 5a7920359c7a0000  14000400 00000000 6b00decd 00000000 000bcc7f
  08000d00 00000404  84000a00 45000404b59a40003f016b5b0a0001020a000202080064561c500001cdde006b0000000044cb0b0000000000
  101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f
  404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60616263`);

function bytes(hex: string): Uint8Array {
  const text = hex.replaceAll(/\s/g, '');
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

function view(message: Uint8Array): DataView {
  return new DataView(message.buffer, message.byteOffset, message.byteLength);
}

describe('a queued packet', () => {
  it('is read if the kernel copied it whole', () => {
    const packet = new QueuedPacket();
    expect(packet.read(view(WHOLE), 0, WHOLE.length)).toBe(true);
    expect(packet).toMatchObject({ id: 1, mark: 0, payloadOffset: 92 - 4, payloadLength: 84, totalLength: 84 });
    expect(WHOLE[packet.payloadOffset]).toBe(0x45);
  });

  it('keeps the real length and the mark if the kernel cut it to the copy range', () => {
    const packet = new QueuedPacket();
    expect(packet.read(view(CUT), 0, CUT.length)).toBe(true);
    expect(packet).toMatchObject({ id: 1, mark: 0x4000, payloadLength: 128, totalLength: 1028 });
    expect(CUT[packet.payloadOffset]).toBe(0x45);
  });

  it('forgets the mark and length of the previous packet', () => {
    const packet = new QueuedPacket();
    packet.read(view(CUT), 0, CUT.length);
    packet.read(view(WHOLE), 0, WHOLE.length);
    expect(packet).toMatchObject({ mark: 0, totalLength: 84 });
  });

  it.each([
    ['whole', WHOLE],
    ['cut', CUT],
  ])('is never read past its end: %s, truncated at every length', (_, message) => {
    const packet = new QueuedPacket();
    for (let length = 0; length < message.length; length++) {
      const truncated = message.slice(0, length);
      // Truncated, but its header claims the full length.
      expect(packet.read(view(truncated), 0, length)).toBe(false);
      if (length < 4) continue;
      // Truncated, and its header says so: every read stays inside.
      view(truncated).setUint32(0, length, true);
      if (packet.read(view(truncated), 0, length)) {
        expect(packet.payloadOffset + packet.payloadLength).toBeLessThanOrEqual(length);
        expect(packet.id).toBe(1);
      }
    }
  });

  it('is not found in another kind of message, nor in one without an id', () => {
    const error = WHOLE.slice();
    view(error).setUint16(4, 2, true);
    expect(new QueuedPacket().read(view(error), 0, error.length)).toBe(false);
    const anonymous = WHOLE.slice();
    view(anonymous).setUint16(22, 99, true);
    expect(new QueuedPacket().read(view(anonymous), 0, anonymous.length)).toBe(false);
  });

  it('ends at an attribute with an invalid length', () => {
    const broken = WHOLE.slice();
    view(broken).setUint16(32, 2, true);
    const packet = new QueuedPacket();
    expect(packet.read(view(broken), 0, broken.length)).toBe(true);
    expect(packet.payloadLength).toBe(0);
  });
});
