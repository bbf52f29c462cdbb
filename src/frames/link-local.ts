/**
 * Traffic that never leaves its link and that hosts need to find one another. No policy covers it
 * (the API reference speaks of pods and addresses), and a wire that dropped it would carry nothing.
 */
import { isNeighbourDiscovery } from '../packet/icmp-types.ts';
import { ICMPV6 } from '../packet/protocols.ts';
import { ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, type LinkFrame } from './link-frame.ts';

/** Which kinds of it pass. */
export interface LinkLocalFlags {
  readonly arp: boolean;
  /** IPv6 neighbour and router discovery, redirects. */
  readonly neighbourDiscovery: boolean;
  /**
   * IP to groups that no router forwards (224.0.0.0/24, ff02::/16: mDNS, IGMP, MLD, DHCPv6, VRRP,
   * …) and to 255.255.255.255 (DHCP), and frames that no bridge forwards (01:80:c2:00:00:0x: LLDP,
   * LACP, 802.1X, spanning tree).
   */
  readonly groups: boolean;
  /**
   * Traffic between two IPv6 link-local addresses (fe80::/10), except neighbour discovery. Policies
   * do not know such addresses, so it passes whatever they say.
   */
  readonly linkAddresses: boolean;
}

/**
 * Returns the flag for this kind of Ethernet frame; undefined if it is none of these kinds and must
 * be judged.
 */
export function passesLinkLocal(
  flags: LinkLocalFlags,
  view: DataView,
  offset: number,
  frame: LinkFrame,
): boolean | undefined {
  const at = frame.payload;
  switch (frame.etherType) {
    case ETH_P_ARP:
      return flags.arp;
    case ETH_P_IP:
      return frame.captured >= 20 && isIpv4Link(view.getInt32(at + 16)) ? flags.groups : undefined;
    case ETH_P_IPV6:
      if (frame.captured < 44) return undefined;
      if (view.getUint16(at + 24) === 0xff02) return isDiscovery(view, at) ? flags.neighbourDiscovery : flags.groups;
      if (flags.linkAddresses || !isLinkAddress(view, at + 8) || !isLinkAddress(view, at + 24)) return undefined;
      return isDiscovery(view, at) ? undefined : false;
    default:
      return view.getUint32(offset) === 0x0180c200 && view.getUint16(offset + 4) < 0x10 ? flags.groups : undefined;
  }
}

function isIpv4Link(destination: number): boolean {
  return destination >>> 8 === 0xe00000 || destination === -1;
}

function isLinkAddress(view: DataView, at: number): boolean {
  return (view.getUint16(at) & 0xffc0) === 0xfe80;
}

function isDiscovery(view: DataView, at: number): boolean {
  return (
    view.getUint8(at + 6) === ICMPV6 && view.getUint8(at + 7) === 255 && isNeighbourDiscovery(view.getUint8(at + 40))
  );
}
