/**
 * Damages well-formed bytes: changes fields, makes lengths wrong, cuts out, duplicates or cuts off
 * parts.
 */
import type { Random } from './random.ts';

/** Values at which lengths and counters go wrong. */
const TELLING = [0, 1, 2, 3, 4, 7, 8, 15, 16, 19, 20, 39, 40, 63, 64, 127, 128, 254, 255];

/** Leaves one input in four unchanged. */
export function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  let mutated = bytes;
  const changes = random.oneIn(4) ? 0 : random.oneIn(4) ? random.between(3, 12) : random.between(1, 3);
  for (let i = 0; i < changes; i++) mutated = mutateOnce(random, mutated);
  return mutated;
}

function mutateOnce(random: Random, bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return random.bytes(random.below(8));
  const at = random.below(bytes.length);
  switch (random.below(10)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return joined(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + random.between(1, 8))));
    case 2:
      return joined(bytes.subarray(0, at), random.bytes(random.between(1, 8)), bytes.subarray(at));
    case 3: {
      const part = bytes.subarray(at, at + random.between(1, 64));
      return joined(bytes.subarray(0, at), part, bytes.subarray(at));
    }
    case 4:
    case 5:
      return withByte(bytes, at, random.pick(TELLING));
    case 6:
      return withByte(bytes, at, (bytes[at] as number) ^ (1 << random.below(8)));
    case 7:
      return withByte(bytes, at, (bytes[at] as number) + random.pick([-4, -1, 1, 4]));
    case 8:
      return withWord(bytes, at, random.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xffff, 0xffff0000]));
    default:
      return withByte(bytes, at, random.below(256));
  }
}

function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed[at] = value;
  return changed;
}

function withWord(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  for (let i = 0; i < 4 && at + i < changed.length; i++) changed[at + i] = value >>> (8 * i);
  return changed;
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
