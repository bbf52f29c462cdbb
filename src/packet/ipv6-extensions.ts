/** The IPv6 extension headers (RFC 8200 section 4, RFC 4302), walked to the protocol behind them. */
import { AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT_HEADER, HOP_BY_HOP, ROUTING } from './protocols.ts';

/** Bytes of the fixed header. */
export const IPV6_HEADER = 40;

/** The walk's result in one int32, as several numbers cannot be given back without allocating: bits 0-7 the protocol, */
export const FRAGMENT = 1 << 8;
export const LATER_FRAGMENT = 1 << 9;
/** from bit 10 on the position of its header, in bytes from the fixed header. */
export const POSITION_SHIFT = 10;
/** Or the chain runs out of what was captured, or breaks the rules of RFC 8200 section 4.1. */
export const BROKEN_CHAIN = -1;

/**
 * Walks the extension headers behind the fixed header at `offset`, of which `captured` bytes may be read; `first` is its next header
 * field. Every extension is at least 8 bytes, which bounds the walk. A later fragment ends it: what follows there is payload.
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
