import { describe, expect, it } from 'vitest';
import { LinkFrame } from '../../src/frames/link-frame.ts';
import { type LinkLocalFlags, passesLinkLocal } from '../../src/frames/link-local.ts';
import { icmp, ip, tcp, udp, viewOf } from '../packet/build.ts';
import { ethernet } from '../replay/capture-bytes.ts';

const NONE: LinkLocalFlags = { arp: false, neighbourDiscovery: false, groups: false, linkAddresses: true };

/** Returns the one flag that lets a frame pass; undefined if it is to be judged. */
function flagOf(bytes: Uint8Array): string | undefined {
  const frame = new LinkFrame();
  frame.read(viewOf(bytes), 0, bytes.length, bytes.length, 1, true);
  if (passesLinkLocal(NONE, viewOf(bytes), 0, frame) === undefined) return undefined;
  const flags = (['arp', 'neighbourDiscovery', 'groups'] as const).filter((flag) =>
    passesLinkLocal({ ...NONE, [flag]: true }, viewOf(bytes), 0, frame),
  );
  return flags.join();
}

/** A frame without IP. */
function frame(type: number, destination = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]): Uint8Array {
  return Uint8Array.from([...destination, 2, 0, 0, 0, 0, 2, type >> 8, type & 255, ...new Array<number>(46).fill(0)]);
}

describe('traffic of the link', () => {
  it.each([
    ['ARP', frame(0x0806), 'arp'],
    [
      'a neighbour solicitation',
      ethernet(ip('fd00::1', 'ff02::1:ff00:2', icmp(135), { ttl: 255 })),
      'neighbourDiscovery',
    ],
    ['a router solicitation', ethernet(ip('fe80::1', 'ff02::2', icmp(133), { ttl: 255 })), 'neighbourDiscovery'],
    ['what looks like one from afar', ethernet(ip('fd00::1', 'ff02::1:ff00:2', icmp(135), { ttl: 254 })), 'groups'],
    ['multicast DNS', ethernet(ip('10.0.0.1', '224.0.0.251', udp(5353, 5353))), 'groups'],
    ['multicast DNS of IPv6', ethernet(ip('fe80::1', 'ff02::fb', udp(5353, 5353))), 'groups'],
    ['a DHCP request', ethernet(ip('0.0.0.0', '255.255.255.255', udp(68, 67))), 'groups'],
    ['LLDP', frame(0x88cc, [1, 0x80, 0xc2, 0, 0, 0x0e]), 'groups'],
    ['spanning tree', frame(38, [1, 0x80, 0xc2, 0, 0, 0]), 'groups'],
  ])('%s passes by its flag', (_, bytes, flag) => {
    expect(flagOf(bytes)).toBe(flag);
  });

  it.each([
    ['TCP', ethernet(ip('10.0.0.1', '10.0.0.2', tcp(1, 2)))],
    ['multicast that is routed', ethernet(ip('10.0.0.1', '239.1.1.1', udp(1, 2)))],
    ['multicast of a site', ethernet(ip('fd00::1', 'ff05::1', udp(1, 2)))],
    [
      'a link-local address, such as that of metadata services',
      ethernet(ip('10.0.0.1', '169.254.169.254', tcp(1, 80))),
    ],
    ['TCP between addresses of the link', ethernet(ip('fe80::1', 'fe80::2', tcp(1, 2)))],
    ['an unknown protocol', frame(0x88b5)],
    ['another group of bridges', frame(0x88b5, [1, 0x80, 0xc2, 0, 0, 0x10])],
    ['less than a header', ethernet(ip('10.0.0.1', '224.0.0.251', udp(1, 2))).subarray(0, 30)],
  ])('%s is to be judged', (_, bytes) => {
    expect(flagOf(bytes)).toBeUndefined();
  });

  it.each([
    ['TCP between addresses of the link', ip('fe80::1', 'febf::2', tcp(1, 2)), false],
    ['a neighbour solicitation between them', ip('fe80::1', 'fe80::2', icmp(135), { ttl: 255 }), undefined],
    ['TCP from one of them to another address', ip('fe80::1', 'fd00::2', tcp(1, 2)), undefined],
    ['TCP between site-local addresses', ip('fec0::1', 'fec0::2', tcp(1, 2)), undefined],
  ])('%s, if such addresses must be silent: %j', (_, packet, passes) => {
    const bytes = ethernet(packet);
    const frame = new LinkFrame();
    frame.read(viewOf(bytes), 0, bytes.length, bytes.length, 1, true);
    expect(passesLinkLocal({ ...NONE, linkAddresses: false }, viewOf(bytes), 0, frame)).toBe(passes);
  });
});
