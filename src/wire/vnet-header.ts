/**
 * `struct virtio_net_hdr` (linux/virtio_net.h): what the kernel is to finish in a frame. It
 * precedes every frame of a packet socket with PACKET_VNET_HDR.
 *
 * Frames between virtual interfaces differ from frames on a cable. TCP and UDP checksums are left
 * to the network card: the field contains only the sum of the pseudo header. And one frame of up to
 * 64 KiB may stand for many segments. libpcap does not say which frames these are; their header
 * fields do. The kernel does what this header asks for if the receiver cannot do it, and passes the
 * frame on unchanged to another virtual interface.
 *
 *     0 flags   1 gso type   2 header length   4 segment size   6 checksum start
 *     8 checksum field, counted from the checksum start         in host byte order
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
/** TCP flag: congestion window reduced, sent once (RFC 3168 section 6.1.2). */
const CWR = 0x80;

/** Writes a header that asks for nothing. */
export function writePlain(header: DataView, at: number): void {
  header.setUint16(at, GSO_NONE);
  header.setBigUint64(at + 2, 0n);
}

/**
 * Writes the virtio header of the frame at `frame`. Its TCP or UDP header starts at `transport`;
 * that header and the payload are `length` bytes. If `segmentSize` is above 0, the kernel cuts the
 * frame into segments with that many bytes of payload.
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

/**
 * Returns the sum of addresses, protocol and length, folded, not complemented (RFC 9293 section
 * 3.1, RFC 768, RFC 8200 section 8.1).
 */
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
