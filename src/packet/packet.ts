/**
 * The fields of one decoded packet. The caller owns the object and decodes every packet into it, so
 * that the packet path allocates nothing. All numbers are int32, which V8 keeps unboxed. Addresses
 * are the big-endian words of the wire, read as int32 in host order.
 */

/** `Packet.status` of a packet whose headers were understood. */
export const OK = 0;
/**
 * `Packet.status` of a packet that can only be denied: its headers are cut, inconsistent or
 * unknown. Its other fields are void.
 */
export const MALFORMED = 1;

export class Packet {
  status = MALFORMED;
  /** 4 or 6. */
  family = 4;
  /**
   * IANA protocol number, after all IPv6 extension headers
   * (https://www.iana.org/assignments/protocol-numbers).
   */
  protocol = 0;
  /** IPv4 time to live, IPv6 hop limit. */
  hopLimit = 0;

  /** Source address. IPv4 uses `src0`; its other words are 0. */
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;

  /** Port of TCP, UDP or SCTP; identifier of an ICMP query, the same on both sides; else -1. */
  srcPort = -1;
  dstPort = -1;

  /** The flags byte of TCP (CWR ECE URG ACK PSH RST SYN FIN), 0 for other protocols. */
  tcpFlags = 0;
  /** -1 for anything but ICMP over IPv4 and ICMPv6 over IPv6. */
  icmpType = -1;
  icmpCode = -1;
  /** Type of the first SCTP chunk, -1 for other protocols. */
  sctpChunk = -1;

  /**
   * A fragment: the first has ports, later ones do not. An IPv6 atomic fragment (RFC 6946) is no
   * fragment.
   */
  isFragment = false;
  isLaterFragment = false;

  /**
   * Whether this is an ICMP error whose quoted packet is in the `q` fields; they are void
   * otherwise.
   */
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
  /**
   * Type of the quoted ICMP message, which tells a request from a reply; -1 for other protocols.
   */
  qIcmpType = -1;
}
