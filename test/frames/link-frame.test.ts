import { describe, expect, it } from 'vitest';
import { LinkFrame } from '../../src/frames/link-frame.ts';
import { ip, tcp, viewOf } from '../packet/build.ts';
import { concat, cooked, ethernet, nflog } from '../replay/capture-bytes.ts';

const PACKET = ip('10.0.0.1', '10.0.0.2', tcp(1, 2, 'S'));
const PACKET6 = ip('fd00::1', 'fd00::2', tcp(1, 2, 'S'));

/** Returns the payload of the frame, as it is or with `more` bytes that were not captured. */
function payload(bytes: Uint8Array, linkType: number, littleEndian = true, more = 0) {
  const frame = new LinkFrame();
  // In the middle of a buffer, as in a capture.
  const view = viewOf(concat([new Uint8Array(7), bytes, Uint8Array.of(0x08, 0x00, 0x45)]));
  frame.read(view, 7, bytes.length, bytes.length + more, linkType, littleEndian);
  const { isIp, captured, length } = frame;
  return {
    isIp,
    captured,
    length,
    bytes: [...new Uint8Array(view.buffer).subarray(frame.payload, frame.payload + captured)],
  };
}

const found = (bytes: Uint8Array) => ({ isIp: true, captured: bytes.length, length: bytes.length, bytes: [...bytes] });

describe('a captured frame', () => {
  it.each([
    ['Ethernet', 1, ethernet],
    ['raw IP', 101, (packet: Uint8Array) => packet],
    ['raw IP as Linux numbers it', 12, (packet: Uint8Array) => packet],
    ['Linux cooked', 113, cooked],
    ['Linux cooked v2', 276, (packet: Uint8Array) => cooked(packet, 2)],
    ['NFLOG', 239, nflog],
    ['loopback', 0, (packet: Uint8Array) => concat([Uint8Array.of(2, 0, 0, 0), packet])],
  ] as const)('of %s contains its IP packet of either family', (_, linkType, wrap) => {
    expect(payload(wrap(PACKET), linkType)).toEqual(found(PACKET));
    expect(payload(wrap(PACKET6), linkType)).toEqual(found(PACKET6));
  });

  it('contains the packet behind VLAN tags', () => {
    expect(payload(ethernet(PACKET, [5]), 1)).toEqual(found(PACKET));
    expect(payload(ethernet(PACKET6, [5, 6]), 1)).toEqual(found(PACKET6));
  });

  it('of NFLOG is in the byte order of the machine that captured it', () => {
    expect(payload(nflog(PACKET, false), 239, false)).toEqual(found(PACKET));
    expect(payload(nflog(PACKET, false), 239, true).isIp).toBe(false);
  });

  it('that was cut still has the length of its packet', () => {
    expect(payload(ethernet(PACKET).subarray(0, 40), 1, true, 14)).toEqual({
      ...{ isIp: true, captured: 26, length: 40 },
      bytes: [...PACKET.subarray(0, 26)],
    });
  });

  it.each([
    ['IPv4', PACKET],
    ['IPv6', PACKET6],
  ])('of NFLOG that the kernel has cut still has the length of its packet of %s', (_, packet) => {
    const cut = packet.subarray(0, packet.length - 4);
    expect(payload(nflog(cut), 239)).toEqual({ ...found(cut), length: packet.length });
  });

  it.each([
    ['ARP', Uint8Array.from([...new Array<number>(12).fill(1), 8, 6, 0, 1]), 1],
    ['nothing', new Uint8Array(0), 101],
    ['less than a header', new Uint8Array(13), 1],
    ['a tag and no more', ethernet(PACKET, [5]).subarray(0, 16), 1],
    ['NFLOG without a packet', nflog(PACKET).subarray(0, 20), 239],
    ['NFLOG with an attribute of no length', Uint8Array.of(2, 0, 0, 0, 0, 0, 9, 0, 0x45), 239],
    ['an unknown version', Uint8Array.of(0x55, 0, 0, 0), 101],
  ])('with %s is no IP', (_, bytes, linkType) => {
    expect(payload(bytes, linkType).isIp).toBe(false);
  });

  it('of random bytes is never read past its end', () => {
    for (let length = 0; length < 64; length++) {
      for (const linkType of [0, 1, 12, 101, 108, 113, 228, 229, 239, 276, 9999]) {
        const bytes = Uint8Array.from({ length }, (_, i) => (length * 31 + i * 17 + linkType) & 0xff);
        const frame = new LinkFrame();
        frame.read(viewOf(bytes), 0, length, length, linkType, true);
        expect(frame.captured).toBeLessThanOrEqual(length);
        expect(frame.isIp && frame.captured < 0).toBe(false);
      }
    }
  });
});
