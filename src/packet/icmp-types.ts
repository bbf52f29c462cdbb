/**
 * Classifies ICMP message types (https://www.iana.org/assignments/icmp-parameters,
 * icmpv6-parameters).
 */
import { ICMP } from './protocols.ts';

/** Bit of `icmpQuery` that marks a reply. */
export const QUERY_REPLY = 8;

/**
 * Returns a number from 1 to 4 for a request or reply that carries an identifier, and 0 for every
 * other message. A request and its reply have the same number; the reply adds QUERY_REPLY. The
 * pairs are those of `nf_conntrack_invert_icmp_tuple()`.
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
 * Whether the message quotes a packet whose sender needs to know: destination unreachable (with
 * fragmentation needed), packet too big, time exceeded, parameter problem. Not source quench, which
 * hosts must ignore (RFC 6633), nor redirect, which is not an error.
 */
export function isIcmpError(protocol: number, type: number): boolean {
  if (protocol === ICMP) return type === 3 || type === 11 || type === 12;
  return type >= 1 && type <= 4;
}

/**
 * Whether it is a router or neighbour solicitation or advertisement, or a redirect (RFC 4861
 * section 4).
 */
export function isNeighbourDiscovery(type: number): boolean {
  return type >= 133 && type <= 137;
}
