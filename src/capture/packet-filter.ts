/**
 * Filters for packet sockets.
 *
 * Written by hand because libpcap's own `inbound` loses the first frame: libpcap filters that one
 * again in its own interpreter, which does not know where a frame came from
 * (blocks_to_filter_in_userland in libpcap's pcap-linux.c).
 */

import { ETH_P_IP, ETH_P_IPV6 } from '../frames/link-frame.ts';
import { FRAGMENT_HEADER, UDP } from '../packet/protocols.ts';
import {
  EVERYTHING,
  type FilterProgram,
  type Instruction,
  JUMP,
  JUMP_EQUAL,
  LOAD_BYTE,
  LOAD_HALF,
  LOAD_WORD,
  NOTHING,
  program,
  RETURN,
} from '../sys/socket-filter.ts';

const SKF_AD_PKTTYPE = 0xfffff004;
const SKF_AD_IFINDEX = 0xfffff008;
const SKF_AD_VLAN_TAG_PRESENT = 0xfffff030;
const PACKET_OUTGOING = 4;

/** Drops every frame. */
export const NO_FRAMES = program([[RETURN, 0, 0, NOTHING]]);

/** Passes incoming frames, except those that `incomingUdp` passes. */
export const INCOMING_BUT_UDP = program(incoming(NOTHING, EVERYTHING));

/** Passes UDP that comes in on one of the interfaces, given by index, without a VLAN tag. */
export function incomingUdp(interfaces: readonly number[]): FilterProgram {
  const choice = interfaces.flatMap((index, i): Instruction[] => [
    [JUMP_EQUAL, 0, 1, index],
    [JUMP, 0, 0, 2 * (interfaces.length - i - 1) + 1],
  ]);
  return program([
    [LOAD_WORD, 0, 0, SKF_AD_IFINDEX],
    ...choice,
    [RETURN, 0, 0, NOTHING],
    ...incoming(EVERYTHING, NOTHING),
  ]);
}

/**
 * Returns `udp` for incoming UDP, behind an IPv6 fragment header too, and `others` for the rest.
 */
function incoming(udp: number, others: number): readonly Instruction[] {
  return [
    [LOAD_WORD, 0, 0, SKF_AD_PKTTYPE],
    [JUMP_EQUAL, 14, 0, PACKET_OUTGOING],
    [LOAD_WORD, 0, 0, SKF_AD_VLAN_TAG_PRESENT],
    [JUMP_EQUAL, 0, 11, 0],
    [LOAD_HALF, 0, 0, 12],
    [JUMP_EQUAL, 0, 2, ETH_P_IP],
    [LOAD_BYTE, 0, 0, 23],
    [JUMP_EQUAL, 6, 7, UDP],
    [JUMP_EQUAL, 0, 6, ETH_P_IPV6],
    [LOAD_BYTE, 0, 0, 20],
    [JUMP_EQUAL, 3, 0, UDP],
    [JUMP_EQUAL, 0, 3, FRAGMENT_HEADER],
    [LOAD_BYTE, 0, 0, 54],
    [JUMP_EQUAL, 0, 1, UDP],
    [RETURN, 0, 0, udp],
    [RETURN, 0, 0, others],
    [RETURN, 0, 0, NOTHING],
  ];
}
