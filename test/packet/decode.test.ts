import { describe, expect, test } from 'vitest';
import { decode } from '../../src/packet/decode.ts';
import { MALFORMED, OK, Packet } from '../../src/packet/packet.ts';
import * as b from './build.ts';

const A = '10.0.0.1';
const B = '200.0.0.2';
const A6 = 'fd00::1';
const B6 = '2001:db8::ffff:2';

function decoded(bytes: Uint8Array, captured = bytes.length, total = bytes.length): Packet {
  const packet = new Packet();
  decode(packet, b.viewOf(bytes), 0, captured, total);
  return packet;
}

type Fields = Partial<Packet>;
const ports = (srcPort: number, dstPort: number): Fields => ({ srcPort, dstPort, status: OK });
const NO_PORTS: Fields = { srcPort: -1, dstPort: -1, status: OK };

describe('decodes', () => {
  test.each<[string, Uint8Array, Fields]>([
    [
      'IPv4 addresses and TTL',
      b.ip(A, B, b.raw(47), { ttl: 7 }),
      { family: 4, protocol: 47, src0: b.word(A), dst0: b.word(B), hopLimit: 7 },
    ],
    ['TCP in IPv4', b.ip(A, B, b.tcp(40000, 65535, 'SE')), { ...ports(40000, 65535), protocol: 6, tcpFlags: 0x42 }],
    [
      'TCP with options and data',
      b.ip(A, B, b.tcp(1, 2, 'A', { offset: 8, data: 12 })),
      { ...ports(1, 2), tcpFlags: 0x10 },
    ],
    ['UDP in IPv4', b.ip(A, B, b.udp(53, 1024)), { ...ports(53, 1024), protocol: 17 }],
    ['UDP without data', b.ip(A, B, b.udp(53, 1024, { data: 0 })), ports(53, 1024)],
    ['UDP with bytes after its length', b.ip(A, B, b.udp(53, 1024, { data: 9, length: 12 })), ports(53, 1024)],
    ['SCTP in IPv4', b.ip(A, B, b.sctp(5000, 5001, 10)), { ...ports(5000, 5001), protocol: 132, sctpChunk: 10 }],
    [
      'an echo request, its identifier on both sides',
      b.ip(A, B, b.echoRequest(77)),
      { ...ports(77, 77), icmpType: 8, icmpCode: 0 },
    ],
    ['an echo reply', b.ip(A, B, b.echoReply(77)), { ...ports(77, 77), icmpType: 0 }],
    ['a timestamp request', b.ip(A, B, b.icmp(13, 0, 5)), { ...ports(5, 5), icmpType: 13 }],
    [
      'a redirect, which has no identifier',
      b.ip(A, B, b.icmp(5, 1, 5)),
      { ...NO_PORTS, icmpType: 5, icmpCode: 1, quotesFlow: false },
    ],
    ['IPv4 options', b.ip(A, B, b.tcp(1, 2), { options: [7, 39, 4, ...new Array(36).fill(0)] }), ports(1, 2)],
    ['bytes behind the total length as padding', Uint8Array.from([...b.ip(A, B, b.udp(1, 2)), 0, 0, 0]), ports(1, 2)],
    ['a total length field of 0 as the real length', b.ip(A, B, b.tcp(1, 2), { lengthField: 0 }), ports(1, 2)],
    [
      'a first fragment, which has ports',
      b.ip(A, B, b.udp(1, 2, { length: 3008 }), { more: true }),
      { ...ports(1, 2), isFragment: true, isLaterFragment: false },
    ],
    [
      'a later fragment, which has none',
      b.ip(A, B, b.udp(1, 2), { offset: 1480 }),
      { ...NO_PORTS, isFragment: true, isLaterFragment: true, protocol: 17 },
    ],
    ['"do not fragment" as no fragment', b.ip(A, B, b.udp(1, 2)).with(6, 0x40), { ...ports(1, 2), isFragment: false }],
    ['ICMPv6 in IPv4 as a protocol without ports', b.ip(A, B, b.raw(58)), { ...NO_PORTS, protocol: 58, icmpType: -1 }],
    ['a protocol without anything behind the header', b.ip(A, B, b.raw(50, 0)), { ...NO_PORTS, protocol: 50 }],

    [
      'IPv6 addresses and hop limit',
      b.ip(A6, B6, b.raw(47), { ttl: 255 }),
      {
        family: 6,
        protocol: 47,
        src0: b.words(A6)[0] as number,
        src3: b.words(A6)[3] as number,
        dst0: b.words(B6)[0] as number,
        dst1: b.words(B6)[1] as number,
        dst2: b.words(B6)[2] as number,
        dst3: b.words(B6)[3] as number,
        hopLimit: 255,
      },
    ],
    ['TCP in IPv6', b.ip(A6, B6, b.tcp(1, 2, 'S')), { ...ports(1, 2), protocol: 6, tcpFlags: 2 }],
    ['UDP in IPv6', b.ip(A6, B6, b.udp(1, 2)), { ...ports(1, 2), protocol: 17 }],
    ['SCTP in IPv6', b.ip(A6, B6, b.sctp(1, 2, 1)), { ...ports(1, 2), sctpChunk: 1 }],
    ['an ICMPv6 echo request', b.ip(A6, B6, b.echoRequest(9)), { ...ports(9, 9), protocol: 58, icmpType: 128 }],
    ['a neighbour solicitation', b.ip(A6, B6, b.icmp(135, 0, 9)), { ...NO_PORTS, icmpType: 135 }],
    ['ICMP in IPv6 as a protocol without ports', b.ip(A6, B6, b.raw(1)), { ...NO_PORTS, protocol: 1, icmpType: -1 }],
    [
      'a hop-by-hop header',
      b.ip(A6, B6, b.tcp(1, 2), { extensions: [b.hopByHop(16)] }),
      { ...ports(1, 2), protocol: 6 },
    ],
    [
      'every extension header in a row',
      b.ip(A6, B6, b.udp(1, 2), {
        extensions: [b.hopByHop(), b.destinationOptions(16), b.routing(), b.authentication(16), b.destinationOptions()],
      }),
      { ...ports(1, 2), protocol: 17 },
    ],
    [
      'ESP as the end of the chain',
      b.ip(A6, B6, b.raw(50), { extensions: [b.hopByHop()] }),
      { ...NO_PORTS, protocol: 50 },
    ],
    [
      '"no next header"',
      b.ip(A6, B6, b.raw(59, 0), { extensions: [b.destinationOptions()] }),
      { ...NO_PORTS, protocol: 59 },
    ],
    [
      'a first IPv6 fragment',
      b.ip(A6, B6, b.udp(1, 2, { length: 3008 }), { more: true }),
      { ...ports(1, 2), isFragment: true, isLaterFragment: false },
    ],
    [
      'a later IPv6 fragment',
      b.ip(A6, B6, b.udp(1, 2), { offset: 1448 }),
      { ...NO_PORTS, isFragment: true, isLaterFragment: true, protocol: 17 },
    ],
    [
      'an atomic fragment as no fragment',
      b.ip(A6, B6, b.udp(1, 2), { offset: 0 }),
      { ...ports(1, 2), isFragment: false },
    ],
    [
      'a later fragment that begins with extension headers as their protocol',
      b.ip(A6, B6, b.raw(60), { offset: 8 }),
      { ...NO_PORTS, isLaterFragment: true, protocol: 60 },
    ],
    ['a payload length field of 0 as the real length', b.ip(A6, B6, b.tcp(1, 2), { lengthField: 0 }), ports(1, 2)],
  ])('%s', (_, bytes, fields) => {
    expect(decoded(bytes)).toMatchObject({ status: OK, ...fields });
  });
});

describe('packets above 64 KiB', () => {
  test('of TCP in IPv4 have a total length field of 0', () => {
    expect(decoded(b.ip(A, B, b.tcp(1, 2), { lengthField: 0 }), 40, 150_000)).toMatchObject(ports(1, 2));
  });
  test('of TCP in IPv6 have a payload length field of 0, with a hop-by-hop header or without', () => {
    const jumbo = b.ip(A6, B6, b.tcp(1, 2), { lengthField: 0, extensions: [b.hopByHop()] });
    expect(decoded(jumbo, jumbo.length, 150_000)).toMatchObject(ports(1, 2));
  });
  test('of UDP have a length field of 0, which is invalid in smaller ones', () => {
    const jumbo = b.ip(A6, B6, b.udp(1, 2, { length: 0 }), { lengthField: 0 });
    expect(decoded(jumbo, jumbo.length, 40 + 65536)).toMatchObject(ports(1, 2));
    expect(decoded(jumbo, jumbo.length, 40 + 65535).status).toBe(MALFORMED);
  });
});

describe('is malformed', () => {
  test.each<[string, Uint8Array]>([
    ['nothing at all', new Uint8Array(0)],
    ['another version', b.ip(A, B, b.tcp(1, 2)).with(0, 0x55)],
    ['an IPv4 header length below 5 words', b.ip(A, B, b.raw(47), { ihl: 4 })],
    ['an ICMP header that ends in the padding', b.ip(A, B, b.raw(1), { lengthField: 27 })],
    ['an IPv4 header longer than the packet', b.ip(A, B, b.raw(47), { ihl: 15 })],
    ['an IPv4 header longer than its total length', b.ip(A, B, b.tcp(1, 2), { ihl: 10, lengthField: 36 })],
    ['an IPv4 total length below the header', b.ip(A, B, b.tcp(1, 2), { lengthField: 19 })],
    ['an IPv4 total length above the packet', b.ip(A, B, b.tcp(1, 2), { lengthField: 41 })],
    ['a TCP header that ends behind the total length', b.ip(A, B, b.tcp(1, 2), { lengthField: 39 })],
    ['a TCP data offset below 5', b.ip(A, B, b.tcp(1, 2, 'S', { offset: 4 }))],
    ['a TCP data offset behind the packet', b.ip(A, B, b.tcp(1, 2, 'S', { offset: 6 }))],
    ['a first fragment too small for the TCP flags', b.ip(A, B, b.raw(6, 8), { more: true })],
    ['a UDP header cut by the total length', b.ip(A, B, b.raw(17, 7))],
    ['a UDP length below 8', b.ip(A, B, b.udp(1, 2, { length: 7 }))],
    ['a UDP length of 0', b.ip(A, B, b.udp(1, 2, { length: 0 }))],
    ['a UDP length above the packet', b.ip(A, B, b.udp(1, 2, { data: 4, length: 13 }))],
    ['SCTP without a chunk', b.ip(A, B, b.raw(132, 12))],
    ['an SCTP chunk length below 4', b.ip(A, B, b.sctp(1, 2, 1, { chunkLength: 3 }))],
    ['ICMP shorter than 8 bytes', b.ip(A, B, b.raw(1, 7))],
    ['an IPv6 payload length above the packet', b.ip(A6, B6, b.tcp(1, 2), { lengthField: 21 })],
    [
      'a hop-by-hop header that is not the first',
      b.ip(A6, B6, b.tcp(1, 2), { extensions: [b.destinationOptions(), b.hopByHop()] }),
    ],
    [
      'an extension header longer than the packet',
      b.ip(A6, B6, b.raw(59, 0), { extensions: [{ type: 60, bytes: [9, 0, 0, 0, 0, 0, 0] }] }),
    ],
    [
      'two fragment headers',
      b.ip(A6, B6, b.udp(1, 2), { extensions: [b.fragmentHeader(0, true), b.fragmentHeader(0, true)] }),
    ],
    ['ICMPv6 shorter than 8 bytes', b.ip(A6, B6, b.raw(58, 7))],
  ])('%s', (_, bytes) => {
    expect(decoded(bytes).status).toBe(MALFORMED);
  });
});

describe('a truncated capture of a packet', () => {
  const long = b.ip(A, B, b.tcp(1, 2, 'A', { data: 1000 }));
  test('is valid if the headers were captured', () => {
    expect(decoded(long, 40, long.length)).toMatchObject(ports(1, 2));
  });
  test('is malformed if a required header was not captured', () => {
    expect(decoded(long, 39, long.length).status).toBe(MALFORMED);
    const options = b.ip(A, B, b.raw(47, 100), { options: new Array(40).fill(1) });
    expect(decoded(options, 59, options.length).status).toBe(MALFORMED);
  });
  test('is checked against the real length', () => {
    expect(decoded(long, 40, long.length - 1).status).toBe(MALFORMED);
    expect(decoded(long, 40, 40).status).toBe(MALFORMED);
  });
});

test('no field of the previous packet stays', () => {
  const packet = new Packet();
  const into = (bytes: Uint8Array) => decode(packet, b.viewOf(bytes), 0, bytes.length);
  into(b.ip(A6, B6, b.tcp(1, 2, 'S')));
  into(b.ip(A, B, b.unreachable(b.ip(B, A, b.udp(1, 2)))));
  into(b.ip(A, B, b.sctp(1, 2, 1)));
  into(b.ip(A, B, b.udp(3, 4), { offset: 8 }));
  expect(packet).toMatchObject({
    ...NO_PORTS,
    src1: 0,
    dst3: 0,
    tcpFlags: 0,
    icmpType: -1,
    icmpCode: -1,
    sctpChunk: -1,
    quotesFlow: false,
  });
  into(b.ip(A, B, b.udp(3, 4)));
  expect(packet).toMatchObject({ ...ports(3, 4), isFragment: false, isLaterFragment: false });
});
