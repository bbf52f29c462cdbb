/** Walks the IPv6 extension headers (RFC 8200 section 4, RFC 4302) to the protocol behind them. */
import { AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT_HEADER, HOP_BY_HOP, ROUTING } from './protocols.ts';

/** Length of the fixed header, in bytes. */
export const IPV6_HEADER = 40;

/**
 * `walkExtensions` returns one int32, because several numbers would need an allocation. Bits 0-7
 * are the protocol; this bit marks every fragment, LATER_FRAGMENT all but the first.
 */
export const FRAGMENT = 1 << 8;
export const LATER_FRAGMENT = 1 << 9;
/** From this bit on: the position of the protocol's header, in bytes from the fixed header. */
export const POSITION_SHIFT = 10;
/** The chain runs past the captured bytes or breaks the rules of RFC 8200 section 4.1. */
export const BROKEN_CHAIN = -1;

/**
 * Walks the extension headers behind the fixed header at `offset`. `captured` bytes may be read;
 * `first` is the fixed header's next header field. Every extension is at least 8 bytes, which
 * bounds the walk. A later fragment ends it, because payload follows.
 */
export function walkExtensions(view: DataView, offset: number, captured: number, first: number): number {
  let next = first;
  let at = IPV6_HEADER;
  let flags = 0;
  while (isExtension(next)) {
    if (at + 8 > captured || (next === HOP_BY_HOP && at !== IPV6_HEADER)) return BROKEN_CHAIN;
    const here = offset + at;
    if (next === FRAGMENT_HEADER) {
      if (flags !== 0) return BROKEN_CHAIN;
      const offsetAndMore = view.getUint16(here + 2);
      if (offsetAndMore >> 3 !== 0) flags = FRAGMENT | LATER_FRAGMENT;
      else if ((offsetAndMore & 1) !== 0) flags = FRAGMENT;
      at += 8;
    } else if (next === AUTHENTICATION) {
      at += (view.getUint8(here + 1) + 2) << 2;
    } else {
      at += (view.getUint8(here + 1) + 1) << 3;
    }
    next = view.getUint8(here);
    if ((flags & LATER_FRAGMENT) !== 0) break;
  }
  return (at << POSITION_SHIFT) | flags | next;
}

function isExtension(header: number): boolean {
  switch (header) {
    case HOP_BY_HOP:
    case ROUTING:
    case FRAGMENT_HEADER:
    case AUTHENTICATION:
    case DESTINATION_OPTIONS:
      return true;
    default:
      return false;
  }
}
