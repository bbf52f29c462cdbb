/**
 * The key of a flow, the same for both directions: the two ends in a fixed order and the protocol.
 * An ICMP query adds its kind and which end asks, because two hosts that ping each other with the
 * same identifier have two flows.
 */
import { icmpQuery, QUERY_REPLY } from '../packet/icmp-types.ts';
import type { Packet } from '../packet/packet.ts';
import { halfSipHash } from './hash.ts';

/** Word of the key: the last address word of end A, the only one of an IPv4 address. */
export const KEY_A = 0;
export const KEY_B = 1;
/** Port of A << 16 | port of B; -1 without ports. */
export const KEY_PORTS = 2;
/** Bits 0-7 are the protocol; the KIND constants below are the other bits. */
export const KEY_KIND = 3;
/** The other three address words of A, then those of B; IPv6 only. */
export const KEY_A_REST = 4;
export const KEY_B_REST = 7;

export const KIND_IPV6 = 1 << 8;
const KIND_QUERY_SHIFT = 9;
const KIND_A_ASKS = 1 << 12;
/** The bits of KEY_KIND. */
export const KIND_MASK = 0x1fff;

/** The caller owns the key and sets it for every packet. */
export class FlowKey {
  /** 4 words for IPv4, 10 for IPv6, laid out as above. */
  readonly words = new Int32Array(10);
  hash = 0;
  /** 1 if the packet comes from end B. */
  fromB = 0;
  readonly #k0: number;
  readonly #k1: number;

  constructor(seed: readonly [number, number]) {
    this.#k0 = seed[0];
    this.#k1 = seed[1];
  }

  /**
   * Sets the key from a packet. Returns false for an ICMP message that is neither request nor
   * reply: it has no flow.
   */
  set(packet: Packet): boolean {
    let kind = packet.protocol;
    let asks = true;
    if (packet.icmpType >= 0) {
      const query = icmpQuery(kind, packet.icmpType);
      if (query === 0) return false;
      asks = (query & QUERY_REPLY) === 0;
      kind |= (query & (QUERY_REPLY - 1)) << KIND_QUERY_SHIFT;
    }
    const words = this.words;
    const fromB = packet.family === 4 ? this.#order4(packet) : this.#order6(packet);
    if (packet.family === 6) kind |= KIND_IPV6;
    if (packet.icmpType >= 0 && asks === (fromB === 0)) kind |= KIND_A_ASKS;
    words[KEY_KIND] = kind;
    this.fromB = fromB;
    this.hash = halfSipHash(words, packet.family === 4 ? 4 : 10, this.#k0, this.#k1);
    return true;
  }

  #order4(packet: Packet): number {
    const words = this.words;
    const { src0: src, dst0: dst, srcPort, dstPort } = packet;
    if (src < dst || (src === dst && srcPort <= dstPort)) {
      words[KEY_A] = src;
      words[KEY_B] = dst;
      words[KEY_PORTS] = (srcPort << 16) | (dstPort & 0xffff);
      return 0;
    }
    words[KEY_A] = dst;
    words[KEY_B] = src;
    words[KEY_PORTS] = (dstPort << 16) | (srcPort & 0xffff);
    return 1;
  }

  #order6(packet: Packet): number {
    const words = this.words;
    const { srcPort, dstPort } = packet;
    if (isOrdered6(packet)) {
      words[KEY_A] = packet.src3;
      words[KEY_B] = packet.dst3;
      words[KEY_PORTS] = (srcPort << 16) | (dstPort & 0xffff);
      words[KEY_A_REST] = packet.src0;
      words[KEY_A_REST + 1] = packet.src1;
      words[KEY_A_REST + 2] = packet.src2;
      words[KEY_B_REST] = packet.dst0;
      words[KEY_B_REST + 1] = packet.dst1;
      words[KEY_B_REST + 2] = packet.dst2;
      return 0;
    }
    words[KEY_A] = packet.dst3;
    words[KEY_B] = packet.src3;
    words[KEY_PORTS] = (dstPort << 16) | (srcPort & 0xffff);
    words[KEY_A_REST] = packet.dst0;
    words[KEY_A_REST + 1] = packet.dst1;
    words[KEY_A_REST + 2] = packet.dst2;
    words[KEY_B_REST] = packet.src0;
    words[KEY_B_REST + 1] = packet.src1;
    words[KEY_B_REST + 2] = packet.src2;
    return 1;
  }
}

/** Whether the source comes before the destination. */
function isOrdered6(packet: Packet): boolean {
  if (packet.src3 !== packet.dst3) return packet.src3 < packet.dst3;
  if (packet.src2 !== packet.dst2) return packet.src2 < packet.dst2;
  if (packet.src1 !== packet.dst1) return packet.src1 < packet.dst1;
  if (packet.src0 !== packet.dst0) return packet.src0 < packet.dst0;
  return packet.srcPort <= packet.dstPort;
}
