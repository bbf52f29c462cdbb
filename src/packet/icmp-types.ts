/** What kind of message an ICMP type is (https://www.iana.org/assignments/icmp-parameters, icmpv6-parameters). */
import { ICMP } from './protocols.ts';

/** Bit of `icmpQuery` that marks the reply. */
export const QUERY_REPLY = 8;

/**
 * Of a request or a reply that carries an identifier: a number from 1 to 4 that the two share, with QUERY_REPLY added for the reply.
 * 0 for all other messages. The pairs are those of `nf_conntrack_invert_icmp_tuple()`.
 */
export function icmpQuery(protocol: number, type: number): number {
  if (protocol !== ICMP) return type === 128 ? 1 : type === 129 ? 1 | QUERY_REPLY : 0;
  switch (type) {
    case 8: // echo
      return 1;
    case 0:
      return 1 | QUERY_REPLY;
    case 13: // timestamp
      return 2;
    case 14:
      return 2 | QUERY_REPLY;
    case 15: // information
      return 3;
    case 16:
      return 3 | QUERY_REPLY;
    case 17: // address mask
      return 4;
    case 18:
      return 4 | QUERY_REPLY;
    default:
      return 0;
  }
}

/**
 * Messages that quote the packet they are about and that the sender of that packet needs: destination unreachable (with fragmentation
 * needed and packet too big), time exceeded, parameter problem. Source quench is left out, as hosts must ignore it (RFC 6633), and so
 * is redirect, which is no error.
 */
export function isIcmpError(protocol: number, type: number): boolean {
  if (protocol === ICMP) return type === 3 || type === 11 || type === 12;
  return type >= 1 && type <= 4;
}

/** Router and neighbour solicitation and advertisement, redirect (RFC 4861 section 4). */
export function isNeighbourDiscovery(type: number): boolean {
  return type >= 133 && type <= 137;
}
