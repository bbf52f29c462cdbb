/** The IPv6 header (RFC 8200 section 3). */
import { BROKEN_CHAIN, FRAGMENT, LATER_FRAGMENT, POSITION_SHIFT, walkExtensions } from './ipv6-extensions.ts';
import { MALFORMED, OK, type Packet } from './packet.ts';
import { decodeTransport } from './transport.ts';

const HEADER = 40;

/**
 *     |Version| Traffic Class |           Flow Label                  |
 *     |         Payload Length        |  Next Header  |   Hop Limit   |
 *     |                       Source Address (16)                     |
 *     |                    Destination Address (16)                   |
 *
 * The destination is the header's own, even with a routing header: this packet goes there next.
 * Returns OK or MALFORMED.
 */
export function decodeIpv6(packet: Packet, view: DataView, offset: number, captured: number, total: number): number {
  if (captured < HEADER) return MALFORMED;
  const word1 = view.getInt32(offset + 4);
  const payload = word1 >>> 16;
  const end = payload === 0 ? total : HEADER + payload;
  if (end > total || end < HEADER) return MALFORMED;
  const inside = Math.min(captured, end);
  packet.family = 6;
  packet.hopLimit = word1 & 0xff;
  packet.src0 = view.getInt32(offset + 8);
  packet.src1 = view.getInt32(offset + 12);
  packet.src2 = view.getInt32(offset + 16);
  packet.src3 = view.getInt32(offset + 20);
  packet.dst0 = view.getInt32(offset + 24);
  packet.dst1 = view.getInt32(offset + 28);
  packet.dst2 = view.getInt32(offset + 32);
  packet.dst3 = view.getInt32(offset + 36);
  const chain = walkExtensions(view, offset, inside, (word1 >>> 8) & 0xff);
  if (chain === BROKEN_CHAIN) return MALFORMED;
  packet.protocol = chain & 0xff;
  packet.isFragment = (chain & FRAGMENT) !== 0;
  packet.isLaterFragment = (chain & LATER_FRAGMENT) !== 0;
  if (packet.isLaterFragment) return OK;
  const header = chain >> POSITION_SHIFT;
  return header > end ? MALFORMED : decodeTransport(packet, view, offset + header, inside - header, end - header);
}
