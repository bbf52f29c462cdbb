/**
 * Finds the IP packet in a captured frame, by the capture's link type
 * (https://www.tcpdump.org/linktypes.html). Allocates nothing and never throws.
 */

import { IPV6_HEADER } from '../packet/ipv6-extensions.ts';

/**
 * Link types by LINKTYPE_ number. libpcap's DLT_ numbers on Linux are the same, except RAW, which
 * is 12.
 */
export const LINKTYPE_NULL = 0;
export const LINKTYPE_ETHERNET = 1;
const DLT_RAW = 12;
export const LINKTYPE_RAW = 101;
const LINKTYPE_LOOP = 108;
export const LINKTYPE_LINUX_SLL = 113;
const LINKTYPE_IPV4 = 228;
const LINKTYPE_IPV6 = 229;
const LINKTYPE_NFLOG = 239;
const LINKTYPE_LINUX_SLL2 = 276;

/** EtherTypes (linux/if_ether.h). */
export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_IPV6 = 0x86dd;
const ETH_P_8021Q = 0x8100;
const ETH_P_8021AD = 0x88a8;

const ETH_HLEN = 14;
const VLAN_HLEN = 4;
const SLL_HLEN = 16;
const SLL2_HLEN = 20;
/** Most VLAN tags that are skipped; no real frame has more. */
const MOST_TAGS = 4;

/**
 * `struct nfgenmsg`: family, version, resource. Attributes follow: length, type, value, padded to 4
 * bytes (linux/netfilter/nfnetlink_log.h).
 */
const NFGENMSG = 4;
const NLA_HEADER = 4;
const NFULA_PAYLOAD = 9;

/** Link types that `LinkFrame` understands, with their names. */
export const LINK_TYPES: ReadonlyMap<number, string> = new Map([
  [LINKTYPE_NULL, 'BSD loopback'],
  [LINKTYPE_ETHERNET, 'Ethernet'],
  [DLT_RAW, 'raw IP'],
  [LINKTYPE_RAW, 'raw IP'],
  [LINKTYPE_LOOP, 'OpenBSD loopback'],
  [LINKTYPE_LINUX_SLL, 'Linux cooked'],
  [LINKTYPE_IPV4, 'raw IPv4'],
  [LINKTYPE_IPV6, 'raw IPv6'],
  [LINKTYPE_NFLOG, 'NFLOG'],
  [LINKTYPE_LINUX_SLL2, 'Linux cooked v2'],
]);

export class LinkFrame {
  /** EtherType of the payload, behind all VLAN tags; 0 if there is none or it was not captured. */
  etherType = 0;
  /** Where the payload starts in the view that was read. */
  payload = 0;
  /** Bytes of the payload that were captured, the link's padding included. */
  captured = 0;
  /** Bytes that the payload really has, the link's padding included. */
  length = 0;

  /** Whether the payload is an IP packet. */
  get isIp(): boolean {
    return this.etherType === ETH_P_IP || this.etherType === ETH_P_IPV6;
  }

  /**
   * Reads the frame at `offset`, of which `captured` bytes are there; `length` is its real length
   * or more. `littleEndian` is the byte order of the machine that captured it, which NFLOG and BSD
   * loopback use.
   */
  read(
    view: DataView,
    offset: number,
    captured: number,
    length: number,
    linkType: number,
    littleEndian: boolean,
  ): void {
    this.etherType = 0;
    const end = offset + captured;
    this.#take(offset, offset, captured, length);
    switch (linkType) {
      case LINKTYPE_ETHERNET:
        if (captured >= ETH_HLEN) this.#behindTags(view, offset + ETH_HLEN, end, view.getUint16(offset + 12));
        break;
      case LINKTYPE_LINUX_SLL:
        if (captured >= SLL_HLEN) this.#behindTags(view, offset + SLL_HLEN, end, view.getUint16(offset + 14));
        break;
      case LINKTYPE_LINUX_SLL2:
        if (captured >= SLL2_HLEN) this.#behindTags(view, offset + SLL2_HLEN, end, view.getUint16(offset));
        break;
      case LINKTYPE_NULL:
      case LINKTYPE_LOOP:
        // Address families have different numbers on different systems, so use the IP version.
        if (captured > 4) this.#byVersion(view, offset + 4);
        break;
      case LINKTYPE_NFLOG:
        this.#nflog(view, offset, end, littleEndian);
        break;
      case DLT_RAW:
      case LINKTYPE_RAW:
      case LINKTYPE_IPV4:
      case LINKTYPE_IPV6:
        if (captured > 0) this.#byVersion(view, offset);
        break;
    }
    this.#take(this.payload, offset, captured, length);
    // The kernel may have cut the packet (--nflog-size, snaplen) without saying so; its header has
    // the length.
    if (linkType === LINKTYPE_NFLOG && this.isIp) this.length = Math.max(this.length, this.#ipLength(view));
  }

  #take(payload: number, offset: number, captured: number, length: number): void {
    this.payload = payload;
    this.captured = captured - (payload - offset);
    this.length = length - (payload - offset);
  }

  /**
   * Skips VLAN tags (IEEE 802.1Q): each is its own EtherType, two bytes, and the EtherType of what
   * follows.
   */
  #behindTags(view: DataView, start: number, end: number, type: number): void {
    let at = start;
    let etherType = type;
    for (let tags = 0; etherType === ETH_P_8021Q || etherType === ETH_P_8021AD; tags++) {
      if (tags === MOST_TAGS || at + VLAN_HLEN > end) return;
      etherType = view.getUint16(at + 2);
      at += VLAN_HLEN;
    }
    this.etherType = etherType;
    this.payload = at;
  }

  #byVersion(view: DataView, at: number): void {
    const version = view.getUint8(at) >> 4;
    this.etherType = version === 4 ? ETH_P_IP : version === 6 ? ETH_P_IPV6 : 0;
    this.payload = at;
  }

  /** Returns the packet's length by its IP header; 0 if the header does not say. */
  #ipLength(view: DataView): number {
    if (this.captured < 6) return 0;
    const payload = view.getUint16(this.payload + 4);
    return this.etherType === ETH_P_IP ? view.getUint16(this.payload + 2) : payload && IPV6_HEADER + payload;
  }

  #nflog(view: DataView, offset: number, end: number, littleEndian: boolean): void {
    let at = offset + NFGENMSG;
    while (at + NLA_HEADER < end) {
      const length = view.getUint16(at, littleEndian);
      if (length < NLA_HEADER) return;
      if ((view.getUint16(at + 2, littleEndian) & 0x7fff) === NFULA_PAYLOAD) {
        this.#byVersion(view, at + NLA_HEADER);
        return;
      }
      at += (length + 3) & ~3;
    }
  }
}
