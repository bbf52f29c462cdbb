/**
 * Decodes a captured IP packet in place: bytes in, header fields out. Allocates and throws nothing.
 */
import { decodeIpv4 } from './ipv4.ts';
import { decodeIpv6 } from './ipv6.ts';
import { MALFORMED, type Packet } from './packet.ts';

/**
 * Decodes the IP packet that begins at `offset` of `view`. `length` bytes of it (0 or more) were
 * captured; `totalLength` is its real length in bytes if the capture cut it. Lengths in the headers
 * are checked against `totalLength`. A header that is needed but was not captured makes the packet
 * MALFORMED: it must never pass unseen. Reads nothing outside `[offset, offset + length)`.
 *
 * A total length field of 0 (IPv4) or a payload length field of 0 (IPv6) stands for `totalLength`.
 * The kernel writes it for packets above 64 KiB that segmentation offload will cut (BIG TCP,
 * `iph_totlen()` in linux/ip.h; RFC 2675 for IPv6).
 */
export function decode(packet: Packet, view: DataView, offset: number, length: number, totalLength = length): void {
  packet.srcPort = -1;
  packet.dstPort = -1;
  packet.tcpFlags = 0;
  packet.icmpType = -1;
  packet.icmpCode = -1;
  packet.sctpChunk = -1;
  packet.isFragment = false;
  packet.isLaterFragment = false;
  packet.quotesFlow = false;
  packet.status = MALFORMED;
  if (length < 20 || offset < 0 || offset + length > view.byteLength) return;
  const version = view.getUint8(offset) >> 4;
  if (version === 4) packet.status = decodeIpv4(packet, view, offset, length, totalLength);
  else if (version === 6) packet.status = decodeIpv6(packet, view, offset, length, totalLength);
}
