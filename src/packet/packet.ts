/**
 * The fields of one decoded packet. The caller owns the object and decodes every packet into the same one: the packet path allocates
 * nothing. All numbers are int32, which V8 keeps unboxed; addresses are the big-endian words of the wire read as int32 in host order.
 */

/** `Packet.status` of a packet whose headers were understood. */
export const OK = 0;
/** `Packet.status` of bytes that no verdict but deny can be based on: cut, inconsistent or unknown headers. Other fields are then void. */
export const MALFORMED = 1;

export class Packet {
  status = MALFORMED;
  /** 4 or 6. */
  family = 4;
  /** IANA protocol number, after all IPv6 extension headers (https://www.iana.org/assignments/protocol-numbers). */
  protocol = 0;
  /** IPv4 time to live, IPv6 hop limit. */
  hopLimit = 0;

  /** The source address: IPv4 in `src0`, the other words 0. */
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;

  /** Port of TCP, UDP or SCTP; identifier of an ICMP query, the same on both sides; -1 where there is none. */
  srcPort = -1;
  dstPort = -1;

  /** The flags byte of TCP (CWR ECE URG ACK PSH RST SYN FIN), 0 for other protocols. */
  tcpFlags = 0;
  /** -1 unless ICMP in IPv4 or ICMPv6 in IPv6. */
  icmpType = -1;
  icmpCode = -1;
  /** Type of the first SCTP chunk, -1 for other protocols. */
  sctpChunk = -1;

  /** A piece of a datagram: the first one has ports, a later one has not. An IPv6 atomic fragment (RFC 6946) is none. */
  isFragment = false;
  isLaterFragment = false;

  /** An ICMP error whose quoted packet is described by the `q` fields; they are void otherwise. */
  quotesFlow = false;
  qProtocol = 0;
  qSrc0 = 0;
  qSrc1 = 0;
  qSrc2 = 0;
  qSrc3 = 0;
  qDst0 = 0;
  qDst1 = 0;
  qDst2 = 0;
  qDst3 = 0;
  qSrcPort = -1;
  qDstPort = -1;
  /** Type of the quoted ICMP message, -1 for other protocols: tells a quoted request from a quoted reply. */
  qIcmpType = -1;
}
