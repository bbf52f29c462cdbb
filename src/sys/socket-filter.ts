/** Socket filters in the kernel's classic BPF (linux/filter.h, linux/bpf_common.h). */
import { errno, type PinnedMemory, pinnedMemory, SOL_SOCKET, SystemCallError } from './libc.ts';
import { libcFunction } from './native.ts';

const SO_ATTACH_FILTER = 26;
export const LOAD_WORD = 0x20;
export const LOAD_HALF = 0x28;
export const LOAD_BYTE = 0x30;
export const JUMP = 0x05;
export const JUMP_EQUAL = 0x15;
export const RETURN = 0x06;
export const NOTHING = 0;
export const EVERYTHING = 0xffffffff;

export type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

/** Instructions, 8 bytes each. */
export type FilterProgram = BigUint64Array<ArrayBuffer>;

const c_setsockopt = libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');

/**
 * Makes the socket receive only what the filter lets through, from now on.
 * @param memory for the program, needed only during the call
 */
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

export function program(instructions: readonly Instruction[]): FilterProgram {
  return BigUint64Array.from(
    instructions,
    ([code, yes, no, value]) => BigInt(code | (yes << 16)) | (BigInt(no) << 24n) | (BigInt(value) << 32n),
  );
}
