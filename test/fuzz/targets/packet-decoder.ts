/**
 * The packet decoder. It must read what a naive reader of the RFCs reads, nothing outside of the
 * captured bytes, and the same whatever packet it read before. If it understands a packet, it reads
 * the same when more of it was captured.
 */
import { decode } from '../../../src/packet/decode.ts';
import { MALFORMED, OK, Packet } from '../../../src/packet/packet.ts';
import { mutate } from '../mutate.ts';
import { type Headers, readPacket } from '../naive-packet.ts';
import { captured, packet, uncaptured } from '../packets.ts';
import { alone, type Place, surrounded } from '../surroundings.ts';
import { check, checkSame, type Target } from '../target.ts';

/** Used for all packets, as on the packet path. */
const reused = new Packet();

export const target: Target = {
  generate: (random) => {
    const bytes = captured(random, packet(random));
    return random.oneIn(3) ? bytes : mutate(random, bytes);
  },
  run: (input) => {
    const { bytes, total } = uncaptured(input);
    const read = decoded(reused, alone(bytes), bytes.length, total);
    checkSame(read, readPacket([...bytes], total), 'the decoder differs from the RFCs');
    for (const place of surrounded(bytes)) {
      checkSame(decoded(new Packet(), place, bytes.length, total), read, 'what is read depends on bytes around it');
      checkSame(decoded(reused, place, bytes.length, total), read, 'what is read depends on the packet before');
    }
    const cut = bytes.subarray(0, bytes.length - 1 - (bytes.length >> 3));
    const less = decoded(reused, alone(cut), cut.length, total);
    // A cut error may lack the quoted packet, and bytes that a capture cut off are not padding.
    if (less === undefined || total < bytes.length) return;
    checkSame(
      { ...less, quoted: undefined },
      read && { ...read, quoted: undefined },
      'it is a different packet when more of it was captured',
    );
  },
};

function decoded(into: Packet, { view, offset }: Place, length: number, total: number): Headers | undefined {
  decode(into, view, offset, length, total);
  check(into.status === OK || into.status === MALFORMED, 'a status that does not exist');
  return into.status === OK ? headersOf(into) : undefined;
}

function headersOf(p: Packet): Headers {
  const words = p.family === 4 ? 1 : 4;
  return {
    family: p.family as 4 | 6,
    protocol: p.protocol,
    source: hex([p.src0, p.src1, p.src2, p.src3], words),
    destination: hex([p.dst0, p.dst1, p.dst2, p.dst3], words),
    hopLimit: p.hopLimit,
    isFragment: p.isFragment,
    isLaterFragment: p.isLaterFragment,
    sourcePort: p.srcPort,
    destinationPort: p.dstPort,
    icmpType: p.icmpType,
    icmpCode: p.icmpCode,
    tcpFlags: p.tcpFlags,
    sctpChunk: p.sctpChunk,
    quoted: p.quotesFlow
      ? {
          protocol: p.qProtocol,
          source: hex([p.qSrc0, p.qSrc1, p.qSrc2, p.qSrc3], words),
          destination: hex([p.qDst0, p.qDst1, p.qDst2, p.qDst3], words),
          sourcePort: p.qSrcPort,
          destinationPort: p.qDstPort,
          icmpType: p.qIcmpType,
        }
      : undefined,
  };
}

/** Returns the address; words beyond it must be 0. */
function hex(words: readonly number[], count: number): string {
  check(
    words.slice(count).every((word) => word === 0),
    'an IPv4 address has more than one word',
  );
  return words
    .slice(0, count)
    .map((word) => (word >>> 0).toString(16).padStart(8, '0'))
    .join('');
}
