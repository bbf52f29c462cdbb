/**
 * Filters of packet sockets, in the kernel's classic BPF (linux/filter.h): code, jump if true, jump if false, value.
 *
 * libpcap has a language for them, but its own `inbound` loses the first frame: that one it filters again in its own interpreter, which does not know
 * where a frame came from (blocks_to_filter_in_userland in libpcap's pcap-linux.c).
 */
import { FRAGMENT_HEADER, UDP } from '../../packet/protocols.ts';
import { errno, type PinnedMemory, pinnedMemory, SOL_SOCKET, SystemCallError } from '../../sys/libc.ts';
import { libcFunction } from '../../sys/native.ts';
import { ETH_P_IP, ETH_P_IPV6 } from './link-frame.ts';

const SO_ATTACH_FILTER = 26;
const LOAD_WORD = 0x20;
const LOAD_HALF = 0x28;
const LOAD_BYTE = 0x30;
const JUMP = 0x05;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
const SKF_AD_PKTTYPE = 0xfffff004;
const SKF_AD_IFINDEX = 0xfffff008;
const SKF_AD_VLAN_TAG_PRESENT = 0xfffff030;
const PACKET_OUTGOING = 4;
const NOTHING = 0;
const EVERYTHING = 0xffffffff;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

/** Instructions, 8 bytes each. */
export type FilterProgram = BigUint64Array<ArrayBuffer>;

const c_setsockopt = libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');

/** Nothing passes. */
export const NO_FRAMES = program([[RETURN, 0, 0, NOTHING]]);

/** What comes in, but for what `incomingUdp` lets through. */
export const INCOMING_BUT_UDP = program(incoming(NOTHING, EVERYTHING));

/** UDP that comes in on one of the interfaces, by index, without a VLAN tag. */
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

/** Only what this filter lets through is received from now on. @param memory for the program, which is needed only during the call */
export function attachFilter(
  fd: number,
  filter: FilterProgram,
  memory: PinnedMemory = pinnedMemory(filter.byteLength),
): void {
  new BigUint64Array(memory.buffer).set(filter);
  // `struct sock_fprog`: u16 length in instructions, pointer.
  const descriptor = new DataView(new ArrayBuffer(16));
  descriptor.setUint16(0, filter.length, true);
  descriptor.setBigUint64(8, memory.address, true);
  if (c_setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, descriptor, 16) < 0) {
    throw new SystemCallError('setsockopt SO_ATTACH_FILTER', errno());
  }
}

/** IPv6 with a fragment header in between, too. */
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

function program(instructions: readonly Instruction[]): FilterProgram {
  return BigUint64Array.from(
    instructions,
    ([code, yes, no, value]) => BigInt(code | (yes << 16)) | (BigInt(no) << 24n) | (BigInt(value) << 32n),
  );
}
