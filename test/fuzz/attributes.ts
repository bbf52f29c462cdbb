/**
 * Netlink messages: random ones, whose lengths may be wrong, and a naive reader of their
 * attributes.
 */
import { joined } from './mutate.ts';
import type { Random } from './random.ts';

export interface Attribute {
  readonly type: number;
  readonly value: Uint8Array;
}

/** The bits of the type, below NLA_F_NESTED and NLA_F_NET_BYTEORDER (linux/netlink.h). */
const TYPE = 0x3fff;

/** Returns an attribute, padded to 4 bytes as the next one expects. */
export function attribute(random: Random, type: number, value: Uint8Array | readonly number[]): Uint8Array {
  const bytes = Uint8Array.from(value);
  const honest = bytes.length + 4;
  const length = random.oneIn(24) ? random.pick([0, 1, 3, 4, 5, honest - 1, honest + 1, honest + 4, 0xffff]) : honest;
  const flags = random.pick([0, 0, 0x8000, 0x4000]);
  const header = Uint8Array.of(length, length >> 8, type, (type | flags) >> 8);
  return joined(header, bytes, new Uint8Array((4 - (bytes.length % 4)) % 4));
}

/**
 * Returns the attributes one after another, sometimes in another order, with one duplicated or left
 * out.
 */
export function attributes(random: Random, parts: readonly Uint8Array[]): Uint8Array {
  const list = [...parts];
  if (list.length > 1 && random.oneIn(8)) list.push(list.splice(random.below(list.length), 1)[0] as Uint8Array);
  if (list.length > 0 && random.oneIn(8)) list.push(random.pick(list));
  if (list.length > 0 && random.oneIn(12)) list.splice(random.below(list.length), 1);
  return joined(...list);
}

/** Reads attributes as netlink(7) says: up to the first whose length makes no sense. */
export function attributesOf(bytes: Uint8Array): Attribute[] {
  const found: Attribute[] = [];
  let rest = bytes;
  while (rest.length >= 4) {
    const [low = 0, high = 0, typeLow = 0, typeHigh = 0] = rest;
    const length = low + 256 * high;
    if (length < 4 || length > rest.length) break;
    found.push({ type: (typeLow + 256 * typeHigh) & TYPE, value: rest.subarray(4, length) });
    rest = rest.subarray(Math.ceil(length / 4) * 4);
  }
  return found;
}

export function unsigned(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}
