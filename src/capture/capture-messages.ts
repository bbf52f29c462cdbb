/** What a process that captures is told, and what it says to its parent. */

/** As JSON, its second argument; the first is the parent's process id. */
export interface CaptureSetup {
  /** Names as libpcap takes them: `eth0`, `any`, `nflog:5`. */
  readonly interfaces: readonly string[];
  /** What comes in and goes out, or what comes in and is not UDP: for the rest there is packet-socket.ts. */
  readonly frames: 'all' | 'incoming-but-udp';
  /** Bytes of the kernel's buffer, for each interface. */
  readonly bufferBytes: number;
  /** Bytes of a frame that are handed on at most. */
  readonly snapLength: number;
}

/** Descriptors that it inherits. */
export const MEMORY_FD = 4;
export const WAKE_FD = 5;
export const ROOM_FD = 6;

export type CaptureReport =
  | { readonly type: 'open'; readonly index: number }
  /** It is not there, not up, or not allowed: tried again until it opens. */
  | { readonly type: 'closed'; readonly index: number; readonly message: string }
  /** Nothing can be captured on this machine. */
  | { readonly type: 'unavailable'; readonly message: string };

/** A frame's tag in the ring: the number of its interface, and its link type. */
export function tagOf(index: number, linkType: number): number {
  return (index << 16) | linkType;
}

export function interfaceOf(tag: number): number {
  return tag >>> 16;
}

export function linkTypeOf(tag: number): number {
  return tag & 0xffff;
}

/** The length of a frame that is longer than what libpcap was asked for: no less than its real one. */
export const CUT = 1 << 20;
