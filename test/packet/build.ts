/**
 * Real packets from one-line descriptions: `ip('10.0.0.1', '10.0.0.2', tcp(1000, 80, 'S'))`.
 * Checksums stay 0, because the decoder does not check them.
 */
import ipaddr from 'ipaddr.js';

/** The content of an IP packet. ICMP differs between the two families. */
export type Payload = (family: 4 | 6) => { readonly protocol: number; readonly bytes: readonly number[] };

export interface IpOptions {
  /** TTL or hop limit. @default 64 */
  readonly ttl?: number;
  /** IPv4 options, padded to 4 bytes. */
  readonly options?: readonly number[];
  /** IPv6 extension headers, in order. */
  readonly extensions?: readonly Extension[];
  /** Fragment offset, in bytes. */
  readonly offset?: number;
  readonly more?: boolean;
  /** Overrides the length field: IPv4 total length, IPv6 payload length. */
  readonly lengthField?: number;
  /** Overrides the IPv4 header length field, in words. */
  readonly ihl?: number;
}

export interface Extension {
  readonly type: number;
  /** The header without its first byte, the next header. */
  readonly bytes: readonly number[];
}

const u16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
const zeros = (count: number): number[] => new Array<number>(count).fill(0);

export function ip(src: string, dst: string, payload: Payload, options: IpOptions = {}): Uint8Array {
  return Uint8Array.from(src.includes(':') ? ipv6(src, dst, payload, options) : ipv4(src, dst, payload, options));
}

function ipv4(src: string, dst: string, payload: Payload, given: IpOptions): number[] {
  const { protocol, bytes } = payload(4);
  const options = [...(given.options ?? [])];
  while (options.length % 4 !== 0) options.push(0);
  const header = 20 + options.length;
  const fragment = ((given.offset ?? 0) >> 3) | (given.more ? 0x2000 : 0);
  return [
    0x40 | (given.ihl ?? header / 4),
    0,
    ...u16(given.lengthField ?? header + bytes.length),
    ...[0x12, 0x34],
    ...u16(fragment),
    given.ttl ?? 64,
    protocol,
    ...[0, 0],
    ...ipaddr.parse(src).toByteArray(),
    ...ipaddr.parse(dst).toByteArray(),
    ...options,
    ...bytes,
  ];
}

function ipv6(src: string, dst: string, payload: Payload, given: IpOptions): number[] {
  const { protocol, bytes } = payload(6);
  const extensions = [...(given.extensions ?? [])];
  if (given.offset !== undefined || given.more) extensions.push(fragmentHeader(given.offset ?? 0, given.more ?? false));
  const types = [...extensions.map((extension) => extension.type), protocol];
  const chain = extensions.flatMap((extension, i) => [types[i + 1] as number, ...extension.bytes]);
  return [
    ...[0x60, 0, 0, 0],
    ...u16(given.lengthField ?? chain.length + bytes.length),
    types[0] as number,
    given.ttl ?? 64,
    ...ipaddr.parse(src).toByteArray(),
    ...ipaddr.parse(dst).toByteArray(),
    ...chain,
    ...bytes,
  ];
}

/** A hop-by-hop header of `size` bytes in all, a multiple of 8. */
export const hopByHop = (size = 8): Extension => ({ type: 0, bytes: [size / 8 - 1, ...zeros(size - 2)] });
export const routing = (size = 24): Extension => ({ type: 43, bytes: [size / 8 - 1, ...zeros(size - 2)] });
export const destinationOptions = (size = 8): Extension => ({ type: 60, bytes: [size / 8 - 1, ...zeros(size - 2)] });
/** An authentication header of `size` bytes in all, a multiple of 4. */
export const authentication = (size = 24): Extension => ({ type: 51, bytes: [size / 4 - 2, ...zeros(size - 2)] });
export const fragmentHeader = (offset: number, more: boolean): Extension => ({
  type: 44,
  bytes: [0, ...u16((offset & 0xfff8) | (more ? 1 : 0)), 0, 0, 0, 7],
});

const FLAGS: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32, E: 64, C: 128 };

/** `flags` by letter, as tcpdump writes them but with A for ACK: 'S', 'SA', 'A', 'FA', 'R'. */
export function tcp(
  srcPort: number,
  dstPort: number,
  flags = 'A',
  given: { data?: number; offset?: number } = {},
): Payload {
  const bits = [...flags].reduce((sum, letter) => sum | (FLAGS[letter] ?? 0), 0);
  const offset = given.offset ?? 5;
  const header = [...u16(srcPort), ...u16(dstPort), ...zeros(8), offset << 4, bits, ...zeros(6)];
  return () => ({ protocol: 6, bytes: [...header, ...zeros(given.data ?? 0)] });
}

export function udp(srcPort: number, dstPort: number, given: { data?: number; length?: number } = {}): Payload {
  const data = given.data ?? 4;
  const bytes = [...u16(srcPort), ...u16(dstPort), ...u16(given.length ?? 8 + data), 0, 0, ...zeros(data)];
  return () => ({ protocol: 17, bytes });
}

/** A packet with one chunk of 4 bytes. */
export function sctp(srcPort: number, dstPort: number, chunk: number, given: { chunkLength?: number } = {}): Payload {
  const bytes = [...u16(srcPort), ...u16(dstPort), ...zeros(8), chunk, 0, ...u16(given.chunkLength ?? 4)];
  return () => ({ protocol: 132, bytes });
}

/** A message with an identifier, or other 16 bits in its place. */
export function icmp(type: number, code = 0, id = 0, data = 8): Payload {
  const bytes = [type, code, 0, 0, ...u16(id), 0, 1, ...zeros(data)];
  return (family) => ({ protocol: family === 4 ? 1 : 58, bytes });
}

export const echoRequest =
  (id: number): Payload =>
  (family) =>
    icmp(family === 4 ? 8 : 128, 0, id)(family);
export const echoReply =
  (id: number): Payload =>
  (family) =>
    icmp(family === 4 ? 0 : 129, 0, id)(family);

/** Destination unreachable, quoting the first `cut` bytes of a packet. */
export function unreachable(quoted: Uint8Array, cut = quoted.length): Payload {
  return (family) => icmpError(family === 4 ? 3 : 1, 0, quoted, cut)(family);
}

/** Fragmentation needed, or packet too big. */
export function tooBig(quoted: Uint8Array, cut = quoted.length): Payload {
  return (family) => icmpError(family === 4 ? 3 : 2, family === 4 ? 4 : 0, quoted, cut)(family);
}

export function icmpError(type: number, code: number, quoted: Uint8Array, cut = quoted.length): Payload {
  const bytes = [type, code, 0, 0, 0, 0, 5, 220, ...quoted.subarray(0, cut)];
  return (family) => ({ protocol: family === 4 ? 1 : 58, bytes });
}

/** Any other protocol: a payload of zeros. */
export function raw(protocol: number, size = 8): Payload {
  return () => ({ protocol, bytes: zeros(size) });
}

/** Returns the address as `DataView.getInt32` reads it. */
export function word(address: string): number {
  return words(address)[0] as number;
}

export function words(address: string): number[] {
  const bytes = Uint8Array.from(ipaddr.parse(address).toByteArray());
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getInt32(4 * i));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
