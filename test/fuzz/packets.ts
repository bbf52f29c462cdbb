/** Random IP packets of the pods in test/filter/scene.ts, and the file format for captured ones. */
import ipaddr from 'ipaddr.js';
import * as scene from '../filter/scene.ts';
import * as build from '../packet/build.ts';
import { joined } from './mutate.ts';
import type { Random } from './random.ts';

const ADDRESSES4 = [scene.WEB, scene.DB, scene.IDLE, scene.FAR, scene.OUTSIDE, scene.NODE];
const ADDRESSES6 = [scene.WEB6, scene.DB6, 'fd00::3', scene.FAR6, scene.OUTSIDE6, scene.NODE6, 'ff02::1', 'fe80::1'];
const BY_HEX = new Map(
  [...ADDRESSES4, ...ADDRESSES6].map((address) => [
    Buffer.from(ipaddr.parse(address).toByteArray()).toString('hex'),
    address,
  ]),
);
const PORTS = [0, 53, 80, 81, 443, 8080, 40_000, 65_535];
const FLAGS = ['S', 'SA', 'A', 'PA', 'FA', 'R', 'RA', '', 'SF', 'SR', 'SAEC', 'FPU'];
const CHUNKS = [0, 1, 2, 3, 6, 7, 8, 10, 11, 14, 255];
const ICMP_TYPES = [0, 3, 4, 5, 8, 11, 12, 13, 14, 15, 18, 255];
const ICMPV6_TYPES = [1, 2, 3, 4, 5, 128, 129, 130, 133, 134, 135, 136, 137, 143];
const OTHER_PROTOCOLS = [0, 1, 2, 41, 43, 44, 47, 50, 51, 58, 59, 60, 89, 255];

/**
 * Returns a packet as it is captured: a big-endian count of the bytes that the capture cut off, in
 * 3 bytes, then the captured bytes.
 */
export function captured(random: Random, packet: Uint8Array): Uint8Array {
  const kept = random.oneIn(4) ? random.below(packet.length + 1) : packet.length;
  const more = random.oneIn(16) ? random.below(70_000) : packet.length - kept;
  return joined(Uint8Array.of(more >> 16, more >> 8, more), packet.subarray(0, kept));
}

export function uncaptured(input: Uint8Array): { readonly bytes: Uint8Array; readonly total: number } {
  const [high = 0, middle = 0, low = 0] = input;
  const bytes = input.subarray(3);
  return { bytes, total: bytes.length + ((high << 16) | (middle << 8) | low) };
}

/** Returns the text of an address in hex, if it is one of the scene's. */
export function addressOf(hex: string): string | undefined {
  return BY_HEX.get(hex);
}

export function packet(random: Random, depth = 0): Uint8Array {
  const isIpv6 = random.oneIn(2);
  const addresses = isIpv6 ? ADDRESSES6 : ADDRESSES4;
  const [source, destination] = [random.pick(addresses), random.pick(addresses)];
  const bytes = build.ip(source, destination, payload(random, isIpv6, depth), options(random, isIpv6));
  return random.oneIn(12) ? joined(bytes, random.bytes(random.between(1, 46))) : bytes;
}

/** Returns a whole packet that opens a flow between two of the addresses. */
export function opening(random: Random): Uint8Array {
  const addresses = random.oneIn(2) ? ADDRESSES6.slice(0, 6) : ADDRESSES4;
  const source = random.pick(addresses);
  const destination = random.pick(addresses.filter((address) => address !== source));
  const [from, to] = [random.pick([40_000, 40_001]), random.pick([53, 80, 443])];
  const payloads = [build.tcp(from, to, 'S'), build.tcp(from, to, 'S'), build.udp(from, to), build.sctp(from, to, 1)];
  return build.ip(source, destination, random.pick([...payloads, build.echoRequest(7)]));
}

function options(random: Random, isIpv6: boolean): build.IpOptions {
  const fragment = { offset: random.pick([0, 0, 8, 16, 1480, 65_528]), more: random.oneIn(2) };
  return {
    ttl: random.pick([64, 64, 1, 255]),
    ...(random.oneIn(6) && fragment),
    ...(isIpv6 && random.oneIn(2) && { extensions: random.some(5, () => extension(random)) }),
    ...(!isIpv6 && random.oneIn(6) && { options: [...random.bytes(random.between(1, 40))] }),
    ...(random.oneIn(12) && { lengthField: random.pick([0, 1, 19, 20, 40, 60, 65_535]) }),
    ...(random.oneIn(20) && { ihl: random.below(16) }),
  };
}

function extension(random: Random): build.Extension {
  const size = random.pick([8, 8, 16, 24, 40]);
  switch (random.below(5)) {
    case 0:
      return build.hopByHop(size);
    case 1:
      return build.routing(size);
    case 2:
      return build.destinationOptions(size);
    case 3:
      return build.authentication(size);
    default:
      return build.fragmentHeader(random.pick([0, 8, 1448]), random.oneIn(2));
  }
}

function payload(random: Random, isIpv6: boolean, depth: number): build.Payload {
  const [source, destination] = [random.pick(PORTS), random.pick(PORTS)];
  const data = random.pick([0, 0, 4, 32]);
  switch (random.below(depth > 1 ? 6 : 8)) {
    case 0:
    case 1: {
      const offset = random.oneIn(10) ? { offset: random.below(16) } : {};
      return build.tcp(source, destination, random.pick(FLAGS), { data, ...offset });
    }
    case 2: {
      const length = random.oneIn(8) ? { length: random.pick([0, 7, 8, 9, 65_535]) } : {};
      return build.udp(source, destination, { data, ...length });
    }
    case 3: {
      const chunkLength = random.oneIn(8) ? { chunkLength: random.below(8) } : {};
      return build.sctp(source, destination, random.pick(CHUNKS), chunkLength);
    }
    case 4: {
      const type = random.pick(isIpv6 ? ICMPV6_TYPES : ICMP_TYPES);
      return build.icmp(type, random.below(5), random.pick([0, 1, 7]), data);
    }
    case 5:
      return build.raw(random.pick(OTHER_PROTOCOLS), data);
    default: {
      const quoted = packet(random, depth + 1);
      const cut = random.oneIn(3) ? random.below(quoted.length + 1) : quoted.length;
      const type = random.pick(isIpv6 ? [1, 2, 3, 4] : [3, 11, 12]);
      return build.icmpError(type, random.below(5), quoted, cut);
    }
  }
}
