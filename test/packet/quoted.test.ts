import { describe, expect, test } from 'vitest';
import { decode } from '../../src/packet/decode.ts';
import { OK, Packet } from '../../src/packet/packet.ts';
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
const _ports = (srcPort: number, dstPort: number): Fields => ({ srcPort, dstPort, status: OK });
const _NO_PORTS: Fields = { srcPort: -1, dstPort: -1, status: OK };

describe('an ICMP error', () => {
  const tcp4 = b.ip(A, B, b.tcp(1000, 80), { options: [1, 1, 1, 1] });
  const tcp6 = b.ip(A6, B6, b.tcp(1000, 80), { extensions: [b.hopByHop()] });
  const q4: Fields = {
    quotesFlow: true,
    qProtocol: 6,
    qSrc0: b.word(A),
    qDst0: b.word(B),
    qSrcPort: 1000,
    qDstPort: 80,
    qIcmpType: -1,
  };
  const [s0, s1, s2, s3] = b.words(A6);
  const [d0, d1, d2, d3] = b.words(B6);
  const q6 = {
    quotesFlow: true,
    qProtocol: 6,
    qSrc0: s0,
    qSrc1: s1,
    qSrc2: s2,
    qSrc3: s3,
    qDst0: d0,
    qDst1: d1,
    qDst2: d2,
    qDst3: d3,
    qSrcPort: 1000,
    qDstPort: 80,
  } as Fields;

  test.each<[string, Uint8Array, Fields]>([
    ['destination unreachable', b.ip(B, A, b.unreachable(tcp4)), { ...q4, icmpType: 3 }],
    ['fragmentation needed', b.ip(B, A, b.tooBig(tcp4)), { ...q4, icmpType: 3, icmpCode: 4 }],
    ['time exceeded', b.ip('9.9.9.9', A, b.icmpError(11, 0, tcp4)), q4],
    ['parameter problem', b.ip(B, A, b.icmpError(12, 0, tcp4)), q4],
    ['with 8 bytes of what follows the quoted header', b.ip(B, A, b.unreachable(tcp4, 32)), q4],
    [
      'about a UDP packet',
      b.ip(B, A, b.unreachable(b.ip(A, B, b.udp(7, 8)))),
      { quotesFlow: true, qProtocol: 17, qSrcPort: 7, qDstPort: 8 },
    ],
    [
      'about an SCTP packet',
      b.ip(B, A, b.unreachable(b.ip(A, B, b.sctp(7, 8, 0)))),
      { quotesFlow: true, qProtocol: 132, qSrcPort: 7, qDstPort: 8 },
    ],
    [
      'about an echo request',
      b.ip(B, A, b.unreachable(b.ip(A, B, b.echoRequest(3)))),
      { quotesFlow: true, qProtocol: 1, qSrcPort: 3, qDstPort: 3, qIcmpType: 8 },
    ],
    [
      'about a first fragment',
      b.ip(B, A, b.unreachable(b.ip(A, B, b.udp(7, 8), { more: true }))),
      { quotesFlow: true, qSrcPort: 7 },
    ],
    [
      'about a protocol without ports',
      b.ip(B, A, b.unreachable(b.ip(A, B, b.raw(47)))),
      { quotesFlow: true, qProtocol: 47, qSrcPort: -1, qDstPort: -1 },
    ],
    ['in IPv6: destination unreachable', b.ip(B6, A6, b.unreachable(tcp6)), { ...q6, icmpType: 1 }],
    ['in IPv6: packet too big', b.ip(B6, A6, b.tooBig(tcp6)), q6],
    ['in IPv6: time exceeded', b.ip(B6, A6, b.icmpError(3, 0, tcp6)), q6],
    ['in IPv6: parameter problem', b.ip(B6, A6, b.icmpError(4, 0, tcp6)), q6],
    [
      'in IPv6: about an echo reply',
      b.ip(B6, A6, b.unreachable(b.ip(A6, B6, b.echoReply(3)))),
      { quotesFlow: true, qProtocol: 58, qSrcPort: 3, qIcmpType: 129 },
    ],
  ])('quotes the packet: %s', (_, bytes, fields) => {
    expect(decoded(bytes)).toMatchObject({ status: OK, srcPort: -1, ...fields });
  });

  test.each<[string, Uint8Array]>([
    ['is too short to have ports', b.ip(B, A, b.unreachable(tcp4, 31))],
    ['is a later fragment', b.ip(B, A, b.unreachable(b.ip(A, B, b.udp(7, 8), { offset: 8 })))],
    ['is an ICMP error', b.ip(B, A, b.unreachable(b.ip(A, B, b.unreachable(tcp4))))],
    ['has a header length below 5', b.ip(B, A, b.unreachable(b.ip(A, B, b.tcp(1, 2), { ihl: 4 })))],
    ['is IPv6 in an ICMP for IPv4', b.ip(B, A, b.unreachable(tcp6))],
    ['is IPv4 in an ICMPv6', b.ip(B6, A6, b.unreachable(tcp4))],
    ['is a later IPv6 fragment', b.ip(B6, A6, b.unreachable(b.ip(A6, B6, b.udp(7, 8), { offset: 8 })))],
    ['is cut inside of its extension headers', b.ip(B6, A6, b.unreachable(tcp6, 44))],
    ['is cut inside of its ports', b.ip(B6, A6, b.unreachable(tcp6, 50))],
  ])('quotes nothing if the quoted packet %s', (_, bytes) => {
    expect(decoded(bytes)).toMatchObject({ status: OK, quotesFlow: false, srcPort: -1 });
  });

  test('is not recognized in a source quench or a redirect', () => {
    expect(decoded(b.ip(B, A, b.icmpError(4, 0, tcp4))).quotesFlow).toBe(false);
    expect(decoded(b.ip(B, A, b.icmpError(5, 0, tcp4))).quotesFlow).toBe(false);
  });
});
