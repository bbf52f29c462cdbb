/**
 * Compares a flow's key (flow-key.ts) with the words of a slot (slots.ts), writes it there, and
 * reads it back as a packet.
 */
import type { Packet } from '../packet/packet.ts';
import { hasPorts } from '../packet/protocols.ts';
import { KEY_A, KEY_A_REST, KEY_B, KEY_B_REST, KEY_KIND, KEY_PORTS, KIND_IPV6, KIND_MASK } from './flow-key.ts';
import { INFO, KEY, KEY_REST, OPENER_IS_B_SHIFT } from './slots.ts';

/** Whether the slot at word `at` has this key. */
export function hasKey(words: Int32Array, at: number, key: Int32Array): boolean {
  const kind = key[KEY_KIND] as number;
  if (
    words[at + KEY] !== key[KEY_A] ||
    words[at + KEY + 1] !== key[KEY_B] ||
    words[at + KEY + 2] !== key[KEY_PORTS] ||
    ((words[at + INFO] as number) & KIND_MASK) !== kind
  ) {
    return false;
  }
  if ((kind & KIND_IPV6) === 0) return true;
  for (let i = 0; i < 6; i++) if (words[at + KEY_REST + i] !== key[KEY_A_REST + i]) return false;
  return true;
}

/** Writes all of the key but its kind, which is part of the info word. */
export function writeKey(words: Int32Array, at: number, key: Int32Array): void {
  words[at + KEY] = key[KEY_A] as number;
  words[at + KEY + 1] = key[KEY_B] as number;
  words[at + KEY + 2] = key[KEY_PORTS] as number;
  if (((key[KEY_KIND] as number) & KIND_IPV6) === 0) return;
  for (let i = 0; i < 6; i++) words[at + KEY_REST + i] = key[KEY_A_REST + i] as number;
}

/** Sets the packet's family, protocol, addresses and ports as the flow's opener sends them. */
export function readOpening(words: Int32Array, at: number, packet: Packet): void {
  const info = words[at + INFO] as number;
  const a = words[at + KEY] as number;
  const b = words[at + KEY + 1] as number;
  const ports = words[at + KEY + 2] as number;
  const protocol = info & 0xff;
  const noPorts = ports === -1 && !hasPorts(protocol);
  const portA = noPorts ? -1 : ports >>> 16;
  const portB = noPorts ? -1 : ports & 0xffff;
  const reversed = ((info >>> OPENER_IS_B_SHIFT) & 1) !== 0;
  packet.protocol = protocol;
  packet.srcPort = reversed ? portB : portA;
  packet.dstPort = reversed ? portA : portB;
  if ((info & KIND_IPV6) === 0) {
    packet.family = 4;
    packet.src0 = reversed ? b : a;
    packet.dst0 = reversed ? a : b;
    return;
  }
  const restOfB = KEY_REST + KEY_B_REST - KEY_A_REST;
  const src = at + (reversed ? restOfB : KEY_REST);
  const dst = at + (reversed ? KEY_REST : restOfB);
  packet.family = 6;
  packet.src0 = words[src] as number;
  packet.src1 = words[src + 1] as number;
  packet.src2 = words[src + 2] as number;
  packet.src3 = reversed ? b : a;
  packet.dst0 = words[dst] as number;
  packet.dst1 = words[dst + 1] as number;
  packet.dst2 = words[dst + 2] as number;
  packet.dst3 = reversed ? a : b;
}
