/** Captures as bytes, written as the formats specify and without the code under test. */

export interface Recorded {
  /** The packet with its link header. */
  readonly bytes: Uint8Array;
  /** ms since 1970. */
  readonly time?: number;
  /** Real length, if the capture truncated the packet. */
  readonly length?: number;
  /** Index of the interface, in pcapng. */
  readonly link?: number;
}

interface PcapOptions {
  readonly linkType?: number;
  readonly littleEndian?: boolean;
  readonly nanoseconds?: boolean;
}

export function pcap(packets: readonly Recorded[], options: PcapOptions = {}): Uint8Array {
  const { linkType = 1, littleEndian = true, nanoseconds = false } = options;
  const header = new DataView(new ArrayBuffer(24));
  header.setUint32(0, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, littleEndian);
  header.setUint16(4, 2, littleEndian);
  header.setUint16(6, 4, littleEndian);
  header.setUint32(16, 65_535, littleEndian);
  header.setUint32(20, linkType, littleEndian);
  const records = packets.map(({ bytes, time = 0, length = bytes.length }) => {
    const view = new DataView(new ArrayBuffer(16));
    view.setUint32(0, Math.floor(time / 1000), littleEndian);
    view.setUint32(4, Math.round((time % 1000) * (nanoseconds ? 1e6 : 1e3)), littleEndian);
    view.setUint32(8, bytes.length, littleEndian);
    view.setUint32(12, length, littleEndian);
    return [new Uint8Array(view.buffer), bytes];
  });
  return concat([new Uint8Array(header.buffer), ...records.flat()]);
}

/** Returns one section with an interface for each link type. `options` apply to every interface. */
export function pcapng(
  packets: readonly Recorded[],
  linkTypes: readonly number[] = [1],
  littleEndian = true,
  options: readonly (readonly [code: number, value: Uint8Array])[] = [],
  unitsPerMs = 1000,
): Uint8Array {
  const section = new DataView(new ArrayBuffer(16));
  section.setUint32(0, 0x1a2b3c4d, littleEndian);
  section.setUint16(4, 1, littleEndian);
  section.setBigInt64(8, -1n, littleEndian);
  const list = options.map(([code, value]) => {
    const head = new DataView(new ArrayBuffer(4));
    head.setUint16(0, code, littleEndian);
    head.setUint16(2, value.length, littleEndian);
    return concat([new Uint8Array(head.buffer), value, new Uint8Array((4 - (value.length % 4)) % 4)]);
  });
  const interfaces = linkTypes.map((type) => {
    const body = new DataView(new ArrayBuffer(8));
    body.setUint16(0, type, littleEndian);
    return block(
      1,
      concat([new Uint8Array(body.buffer), ...list, new Uint8Array(options.length > 0 ? 4 : 0)]),
      littleEndian,
    );
  });
  const records = packets.map(({ bytes, time = 0, length = bytes.length, link = 0 }) => {
    const head = new DataView(new ArrayBuffer(20));
    const units = BigInt(Math.round(time * unitsPerMs));
    head.setUint32(0, link, littleEndian);
    head.setUint32(4, Number(units >> 32n), littleEndian);
    head.setUint32(8, Number(units & 0xffffffffn), littleEndian);
    head.setUint32(12, bytes.length, littleEndian);
    head.setUint32(16, length, littleEndian);
    return block(
      6,
      concat([new Uint8Array(head.buffer), bytes, new Uint8Array((4 - (bytes.length % 4)) % 4)]),
      littleEndian,
    );
  });
  return concat([block(0x0a0d0d0a, new Uint8Array(section.buffer), littleEndian), ...interfaces, ...records]);
}

export function block(type: number, body: Uint8Array, littleEndian = true): Uint8Array {
  const length = body.length + 12;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, littleEndian);
  view.setUint32(4, length, littleEndian);
  view.setUint32(length - 4, length, littleEndian);
  bytes.set(body, 8);
  return bytes;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const u16 = (value: number): number[] => [value >> 8, value & 0xff];

export function ethernet(packet: Uint8Array, tags: readonly number[] = []): Uint8Array {
  const type = (packet[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800;
  const types = [...tags.flatMap((tag) => [...u16(0x8100), ...u16(tag)]), ...u16(type)];
  return concat([Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, ...types), packet]);
}

/** LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2. */
export function cooked(packet: Uint8Array, version: 1 | 2 = 1): Uint8Array {
  const type = u16((packet[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800);
  const header =
    version === 1
      ? [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0, ...type]
      : [...type, 0, 0, 0, 0, 0, 7, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0];
  return concat([Uint8Array.from(header), packet]);
}

/** LINKTYPE_NFLOG: `struct nfgenmsg`, a prefix of 5 bytes, a timestamp, and the packet. */
export function nflog(packet: Uint8Array, littleEndian = true): Uint8Array {
  const attribute = (type: number, value: Uint8Array) => {
    const head = new DataView(new ArrayBuffer(4));
    head.setUint16(0, value.length + 4, littleEndian);
    head.setUint16(2, type, littleEndian);
    return concat([new Uint8Array(head.buffer), value, new Uint8Array((4 - (value.length % 4)) % 4)]);
  };
  const attributes = [attribute(10, new Uint8Array(5)), attribute(3, new Uint8Array(16)), attribute(9, packet)];
  return concat([Uint8Array.of(2, 0, 0, 5), ...attributes]);
}
