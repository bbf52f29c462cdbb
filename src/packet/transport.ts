/**
 * Decodes what follows the IP headers: TCP, UDP, SCTP, ICMP, ICMPv6. Any other protocol is OK and
 * has no ports.
 */
import { icmpQuery, isIcmpError } from './icmp-types.ts';
import { MALFORMED, OK, type Packet } from './packet.ts';
import { ICMP, ICMPV6, SCTP, TCP, UDP } from './protocols.ts';
import { decodeQuotedIpv4, decodeQuotedIpv6 } from './quoted.ts';

/**
 * Returns OK or MALFORMED. The transport header begins at `at`. Header and payload are `length`
 * bytes, of which `captured` may be read (`captured <= length`). A first fragment needs
 * only the fixed part of the header.
 */
export function decodeTransport(packet: Packet, view: DataView, at: number, captured: number, length: number): number {
  switch (packet.protocol) {
    case TCP:
      return decodeTcp(packet, view, at, captured, length);
    case UDP:
      return decodeUdp(packet, view, at, captured, length);
    case SCTP:
      return decodeSctp(packet, view, at, captured);
    case ICMP:
      return packet.family === 4 ? decodeIcmp(packet, view, at, captured) : OK;
    case ICMPV6:
      return packet.family === 6 ? decodeIcmp(packet, view, at, captured) : OK;
    default:
      return OK;
  }
}

/** RFC 9293 section 3.1. A first fragment too small for the flags is MALFORMED, too (RFC 1858). */
function decodeTcp(packet: Packet, view: DataView, at: number, captured: number, length: number): number {
  if (captured < 20) return MALFORMED;
  const ports = view.getInt32(at);
  const offsetAndFlags = view.getUint16(at + 12);
  const header = (offsetAndFlags >> 12) << 2;
  if (header < 20 || (header > length && !packet.isFragment)) return MALFORMED;
  packet.srcPort = ports >>> 16;
  packet.dstPort = ports & 0xffff;
  packet.tcpFlags = offsetAndFlags & 0xff;
  return OK;
}

/** RFC 768. The length field is 0 for lengths that do not fit into 16 bits (RFC 2675 section 4). */
function decodeUdp(packet: Packet, view: DataView, at: number, captured: number, length: number): number {
  if (captured < 8) return MALFORMED;
  const ports = view.getInt32(at);
  const udpLength = view.getUint16(at + 4);
  const tooLong = udpLength > length && !packet.isFragment;
  const tooShort = udpLength < 8 && !(udpLength === 0 && length > 0xffff);
  if (tooLong || tooShort) return MALFORMED;
  packet.srcPort = ports >>> 16;
  packet.dstPort = ports & 0xffff;
  return OK;
}

/**
 * RFC 9260 section 3: a common header of 12 bytes, then chunks of type, flags and length. The first
 * chunk is enough: INIT, INIT ACK and SHUTDOWN COMPLETE travel alone, COOKIE ECHO and COOKIE ACK
 * come first in their packet.
 */
function decodeSctp(packet: Packet, view: DataView, at: number, captured: number): number {
  if (captured < 16) return MALFORMED;
  const ports = view.getInt32(at);
  if (view.getUint16(at + 14) < 4) return MALFORMED;
  packet.srcPort = ports >>> 16;
  packet.dstPort = ports & 0xffff;
  packet.sctpChunk = view.getUint8(at + 12);
  return OK;
}

/** RFC 792 and RFC 4443: type, code, checksum, and four bytes that all messages have. */
function decodeIcmp(packet: Packet, view: DataView, at: number, captured: number): number {
  if (captured < 8) return MALFORMED;
  const type = view.getUint8(at);
  const protocol = packet.protocol;
  packet.icmpType = type;
  packet.icmpCode = view.getUint8(at + 1);
  if (icmpQuery(protocol, type) !== 0) {
    packet.srcPort = view.getUint16(at + 4);
    packet.dstPort = packet.srcPort;
  } else if (isIcmpError(protocol, type)) {
    packet.quotesFlow =
      protocol === ICMP
        ? decodeQuotedIpv4(packet, view, at + 8, captured - 8)
        : decodeQuotedIpv6(packet, view, at + 8, captured - 8);
  }
  return OK;
}
