/** Makes packets that follow from a captured one. Only the fields that name a flow are set. */
import type { Packet } from '../packet/packet.ts';

/** Copies family, protocol, addresses and ports. */
export function copyFlow(from: Packet, to: Packet): void {
  to.family = from.family;
  to.protocol = from.protocol;
  to.src0 = from.src0;
  to.src1 = from.src1;
  to.src2 = from.src2;
  to.src3 = from.src3;
  to.dst0 = from.dst0;
  to.dst1 = from.dst1;
  to.dst2 = from.dst2;
  to.dst3 = from.dst3;
  to.srcPort = from.srcPort;
  to.dstPort = from.dstPort;
}

/** The same, with source and destination swapped. */
export function copyReversed(from: Packet, to: Packet): void {
  to.family = from.family;
  to.protocol = from.protocol;
  to.src0 = from.dst0;
  to.src1 = from.dst1;
  to.src2 = from.dst2;
  to.src3 = from.dst3;
  to.dst0 = from.src0;
  to.dst1 = from.src1;
  to.dst2 = from.src2;
  to.dst3 = from.src3;
  to.srcPort = from.dstPort;
  to.dstPort = from.srcPort;
}

/** Copies the packet that the ICMP error `from` quotes. */
export function copyQuoted(from: Packet, to: Packet): void {
  to.family = from.family;
  to.protocol = from.qProtocol;
  to.icmpType = from.qIcmpType;
  to.src0 = from.qSrc0;
  to.src1 = from.qSrc1;
  to.src2 = from.qSrc2;
  to.src3 = from.qSrc3;
  to.dst0 = from.qDst0;
  to.dst1 = from.qDst1;
  to.dst2 = from.qDst2;
  to.dst3 = from.qDst3;
  to.srcPort = from.qSrcPort;
  to.dstPort = from.qDstPort;
}

/**
 * Whether the ICMP error goes to the sender of the packet that it quotes (RFC 1122 section 3.2.2).
 */
export function isTowardsQuotedSender(packet: Packet): boolean {
  return (
    packet.dst3 === packet.qSrc3 &&
    packet.dst2 === packet.qSrc2 &&
    packet.dst1 === packet.qSrc1 &&
    packet.dst0 === packet.qSrc0
  );
}
