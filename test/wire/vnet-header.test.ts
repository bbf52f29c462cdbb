import { describe, expect, it } from 'vitest';
import { decode } from '../../src/packet/decode.ts';
import { Packet } from '../../src/packet/packet.ts';
import { VNET_HEADER, writeOffloads } from '../../src/wire/vnet-header.ts';
import { ip, tcp, udp, viewOf } from '../packet/build.ts';

/** Returns the folded sum of 16-bit words: of a pseudo header, or of a packet with it. */
function sum(words: readonly number[]): number {
  let total = words.reduce((a, b) => a + b, 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

function words(bytes: Uint8Array): number[] {
  const view = viewOf(bytes);
  return Array.from({ length: bytes.length >> 1 }, (_, i) => view.getUint16(2 * i));
}

/**
 * Returns a TCP or UDP packet with the sum of the pseudo header in the checksum field, as a virtual
 * interface hands it over.
 */
function unfinished(bytes: Uint8Array, transport: number, field: number): Uint8Array {
  const isIpv4 = transport === 20;
  const addresses = words(isIpv4 ? bytes.subarray(12, 20) : bytes.subarray(8, 40));
  const protocol = bytes[isIpv4 ? 9 : 6] as number;
  viewOf(bytes).setUint16(transport + field, sum([...addresses, protocol, bytes.length - transport]));
  return bytes;
}

/** Returns what the header requests. */
function offloads(bytes: Uint8Array, transport: number, segmentSize = 0) {
  const packet = new Packet();
  decode(packet, viewOf(bytes), 0, bytes.length);
  const header = new DataView(new ArrayBuffer(VNET_HEADER));
  writeOffloads(header, 0, viewOf(bytes), 0, transport, bytes.length - transport, packet, segmentSize);
  return {
    flags: header.getUint8(0),
    type: header.getUint8(1),
    headerLength: header.getUint16(2, true),
    segmentSize: header.getUint16(4, true),
    start: header.getUint16(6, true),
    offset: header.getUint16(8, true),
  };
}

const NOTHING = { flags: 0, type: 0, headerLength: 0, segmentSize: 0, start: 0, offset: 0 };

describe('the virtio-net header of a frame', () => {
  it.each([
    ['TCP over IPv4', ip('10.1.2.3', '192.0.2.255', tcp(1, 2, 'A', { data: 10 })), 20, 16],
    ['UDP over IPv4', ip('10.1.2.3', '192.0.2.255', udp(1, 2, { data: 11 })), 20, 6],
    ['TCP over IPv6', ip('fd00::ffff:1', '2001:db8::fffe:2', tcp(1, 2, 'A')), 40, 16],
    ['UDP over IPv6', ip('fd00::ffff:1', '2001:db8::fffe:2', udp(1, 2)), 40, 6],
  ] as const)('with an unfinished checksum of %s requests that it be finished', (_, bytes, transport, field) => {
    expect(offloads(unfinished(bytes, transport, field), transport)).toEqual({
      ...NOTHING,
      ...{ flags: 1, start: transport, offset: field },
    });
  });

  it('with any other checksum, right or wrong, requests nothing', () => {
    const bytes = unfinished(ip('10.1.2.3', '192.0.2.1', tcp(1, 2, 'A')), 20, 16);
    viewOf(bytes).setUint16(36, viewOf(bytes).getUint16(36) + 1);
    expect(offloads(bytes, 20)).toEqual(NOTHING);
  });

  it('to be segmented has the segment size and the length of its headers, and requests a checksum for each', () => {
    const bytes = ip('10.1.2.3', '192.0.2.1', tcp(1, 2, 'A', { data: 4000, offset: 8 }));
    expect(offloads(bytes, 20, 1448)).toEqual({
      flags: 1,
      type: 1,
      headerLength: 52,
      segmentSize: 1448,
      start: 20,
      offset: 16,
    });
    const expected = unfinished(bytes.slice(), 20, 16);
    expect(bytes).toEqual(expected);
    const ipv6 = ip('fd00::1', 'fd00::2', tcp(1, 2, 'AC', { data: 4000 }));
    // ECN: only the first segment says that the window was reduced.
    expect(offloads(ipv6, 40, 1440)).toMatchObject({ type: 4 | 0x80, headerLength: 60 });
  });
});
