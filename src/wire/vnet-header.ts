/**
 * What a frame asks of who sends it on: `struct virtio_net_hdr` (linux/virtio_net.h), in front of every frame of a packet socket with PACKET_VNET_HDR.
 *
 * Frames between virtual interfaces are not as they would be on a cable. Checksums of TCP and UDP are left to the network card: the field holds the sum of
 * the pseudo header only. And one frame stands for many segments, up to 64 KiB of them. libpcap does not say which frames these are; the header fields do. The
 * kernel finishes what this header asks for where the receiver cannot, and hands on as it is what goes to a virtual interface again.
 *
 *     0 flags   1 gso type   2 header length   4 segment size   6 where the checksum starts   8 where in that its field is      host byte order
 */
import type { Packet } from '../packet/packet.ts';
import { TCP, UDP } from '../packet/protocols.ts';

export const VNET_HEADER = 10;
const NEEDS_CSUM = 1;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_ECN = 0x80;

const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
/** Of the flags byte of TCP: congestion window reduced, said once (RFC 3168 section 6.1.2). */
const CWR = 0x80;

/** A frame without wishes. */
export function writePlain(header: DataView, at: number): void {
  header.setUint16(at, GSO_NONE);
  header.setBigUint64(at + 2, 0n);
}

/**
 * Writes the header of a frame that starts at `frame` and whose TCP or UDP header starts at `transport` and is followed by `length` bytes in all. `segmentSize` above 0:
 * it is to be cut into segments of so much payload.
 */
export function writeOffloads(
  header: DataView,
  at: number,
  view: DataView,
  frame: number,
  transport: number,
  length: number,
  packet: Packet,
  segmentSize: number,
): void {
  const isTcp = packet.protocol === TCP;
  const field = isTcp ? TCP_CHECKSUM : UDP_CHECKSUM;
  const pseudo = pseudoHeaderSum(packet, length);
  writePlain(header, at);
  if (segmentSize > 0) view.setUint16(transport + field, pseudo);
  else if (view.getUint16(transport + field) !== pseudo) return;
  header.setUint8(at, NEEDS_CSUM);
  header.setUint16(at + 6, transport - frame, true);
  header.setUint16(at + 8, field, true);
  if (segmentSize <= 0) return;
  const type = packet.family === 4 ? GSO_TCPV4 : GSO_TCPV6;
  header.setUint8(at + 1, (packet.tcpFlags & CWR) !== 0 ? type | GSO_ECN : type);
  header.setUint16(at + 2, transport - frame + tcpHeaderLength(view, transport), true);
  header.setUint16(at + 4, segmentSize, true);
}

export function tcpHeaderLength(view: DataView, transport: number): number {
  return (view.getUint8(transport + 12) >> 4) << 2;
}

/** RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1: of addresses, protocol and length, folded, not complemented. */
function pseudoHeaderSum(packet: Packet, length: number): number {
  let sum = (packet.protocol === UDP ? UDP : TCP) + (length >>> 16) + (length & 0xffff);
  sum += halves(packet.src0) + halves(packet.dst0);
  if (packet.family === 6) {
    sum += halves(packet.src1) + halves(packet.src2) + halves(packet.src3);
    sum += halves(packet.dst1) + halves(packet.dst2) + halves(packet.dst3);
  }
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

function halves(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}
