/**
 * Decodes the packet that an ICMP error quotes into the `q` fields. Quotes are cut, so their
 * lengths are not checked; the ports are enough to find the flow that the error is about.
 */
import { icmpQuery } from './icmp-types.ts';
import { BROKEN_CHAIN, IPV6_HEADER, LATER_FRAGMENT, POSITION_SHIFT, walkExtensions } from './ipv6-extensions.ts';
import type { Packet } from './packet.ts';
import { hasPorts, ICMP, ICMPV6 } from './protocols.ts';

const IPV4_HEADER = 20;
const FRAGMENT_OFFSET = 0x1fff;

/**
 * Decodes a quoted IPv4 header and at least 8 bytes after it (RFC 792); `captured` bytes may be
 * read at `offset`. Returns whether a flow can be looked up by it: not if it is too short, a
 * fragment without ports, or an error about an error.
 */
export function decodeQuotedIpv4(packet: Packet, view: DataView, offset: number, captured: number): boolean {
  if (captured < IPV4_HEADER + 8) return false;
  const word0 = view.getInt32(offset);
  const header = ((word0 >>> 24) & 15) << 2;
  if (word0 >>> 28 !== 4 || header < IPV4_HEADER || header + 8 > captured) return false;
  if ((view.getInt32(offset + 4) & FRAGMENT_OFFSET) !== 0) return false;
  const protocol = view.getUint8(offset + 9);
  packet.qProtocol = protocol;
  packet.qSrc0 = view.getInt32(offset + 12);
  packet.qSrc1 = 0;
  packet.qSrc2 = 0;
  packet.qSrc3 = 0;
  packet.qDst0 = view.getInt32(offset + 16);
  packet.qDst1 = 0;
  packet.qDst2 = 0;
  packet.qDst3 = 0;
  return decodeQuotedTransport(packet, view, offset + header, protocol, ICMP);
}

/**
 * The same for IPv6. An error quotes as much as fits into 1280 bytes (RFC 4443 section 3), but the
 * capture may have cut it.
 */
export function decodeQuotedIpv6(packet: Packet, view: DataView, offset: number, captured: number): boolean {
  if (captured < IPV6_HEADER || view.getUint8(offset) >> 4 !== 6) return false;
  const chain = walkExtensions(view, offset, captured, view.getUint8(offset + 6));
  if (chain === BROKEN_CHAIN || (chain & LATER_FRAGMENT) !== 0) return false;
  const header = chain >> POSITION_SHIFT;
  if (header + 8 > captured) return false;
  const protocol = chain & 0xff;
  packet.qProtocol = protocol;
  packet.qSrc0 = view.getInt32(offset + 8);
  packet.qSrc1 = view.getInt32(offset + 12);
  packet.qSrc2 = view.getInt32(offset + 16);
  packet.qSrc3 = view.getInt32(offset + 20);
  packet.qDst0 = view.getInt32(offset + 24);
  packet.qDst1 = view.getInt32(offset + 28);
  packet.qDst2 = view.getInt32(offset + 32);
  packet.qDst3 = view.getInt32(offset + 36);
  return decodeQuotedTransport(packet, view, offset + header, protocol, ICMPV6);
}

/** Decodes the first 8 bytes after the quoted IP headers; `icmp` is the family's ICMP. */
function decodeQuotedTransport(packet: Packet, view: DataView, at: number, protocol: number, icmp: number): boolean {
  packet.qIcmpType = -1;
  packet.qSrcPort = -1;
  packet.qDstPort = -1;
  if (hasPorts(protocol)) {
    const ports = view.getInt32(at);
    packet.qSrcPort = ports >>> 16;
    packet.qDstPort = ports & 0xffff;
  } else if (protocol === icmp) {
    const type = view.getUint8(at);
    if (icmpQuery(protocol, type) === 0) return false;
    packet.qIcmpType = type;
    packet.qSrcPort = view.getUint16(at + 4);
    packet.qDstPort = packet.qSrcPort;
  }
  return true;
}
