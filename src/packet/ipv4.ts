/** The IPv4 header (RFC 791 section 3.1). */
import { MALFORMED, OK, type Packet } from './packet.ts';
import { decodeTransport } from './transport.ts';

const HEADER = 20;
const MORE_OR_OFFSET = 0x3fff;
const OFFSET = 0x1fff;

/**
 *      0                   1                   2                   3
 *     |Version|  IHL  |Type of Service|          Total Length         |
 *     |         Identification        |Flags|      Fragment Offset    |
 *     |  Time to Live |    Protocol   |         Header Checksum       |
 *     |                       Source Address                          |
 *     |                    Destination Address                        |
 *     |                    Options                    |    Padding    |
 *
 * Returns OK or MALFORMED. At least 20 bytes must be captured.
 */
export function decodeIpv4(packet: Packet, view: DataView, offset: number, captured: number, total: number): number {
  const word0 = view.getInt32(offset);
  const word1 = view.getInt32(offset + 4);
  const word2 = view.getInt32(offset + 8);
  const header = ((word0 >>> 24) & 15) << 2;
  const end = word0 & 0xffff || total;
  // Bytes beyond the total length are padding of the link (Ethernet's minimum), not part of the
  // packet.
  const inside = Math.min(captured, end);
  if (header < HEADER || header > inside || end > total) return MALFORMED;
  packet.family = 4;
  packet.protocol = (word2 >>> 16) & 0xff;
  packet.hopLimit = word2 >>> 24;
  packet.src0 = view.getInt32(offset + 12);
  packet.src1 = 0;
  packet.src2 = 0;
  packet.src3 = 0;
  packet.dst0 = view.getInt32(offset + 16);
  packet.dst1 = 0;
  packet.dst2 = 0;
  packet.dst3 = 0;
  if ((word1 & MORE_OR_OFFSET) !== 0) {
    packet.isFragment = true;
    if ((word1 & OFFSET) !== 0) {
      packet.isLaterFragment = true;
      return OK;
    }
  }
  return decodeTransport(packet, view, offset + header, inside - header, end - header);
}
