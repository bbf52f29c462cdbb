/** The setup of a capture process, its reports to its parent, and the tags of its frames. */

/** Passed as JSON in the process's second argument; the first is the parent's process id. */
export interface CaptureSetup {
  /** Names as libpcap takes them: `eth0`, `any`, `nflog:5`. */
  readonly interfaces: readonly string[];
  /** Incoming and outgoing frames, or incoming ones except UDP, which packet-socket.ts receives. */
  readonly frames: 'all' | 'incoming-but-udp';
  /** Bytes of the kernel's buffer, for each interface. */
  readonly bufferBytes: number;
  /** Most bytes of a frame that are handed on. */
  readonly snapLength: number;
}

/** Descriptors that the process inherits. */
export const MEMORY_FD = 4;
export const WAKE_FD = 5;
export const ROOM_FD = 6;

export type CaptureReport =
  | { readonly type: 'open'; readonly index: number }
  /**
   * The interface cannot be opened, for example because it is missing or down. The process retries
   * until it opens.
   */
  | { readonly type: 'closed'; readonly index: number; readonly message: string }
  /** Nothing can be captured on this machine. */
  | { readonly type: 'unavailable'; readonly message: string };

/** Returns a frame's tag in the ring: the number of its interface, and its link type. */
export function tagOf(index: number, linkType: number): number {
  return (index << 16) | linkType;
}

export function interfaceOf(tag: number): number {
  return tag >>> 16;
}

export function linkTypeOf(tag: number): number {
  return tag & 0xffff;
}

/** Stands for the unknown real length of a cut frame, and is no less than it. */
export const CUT = 1 << 20;
