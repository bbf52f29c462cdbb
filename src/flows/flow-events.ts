/**
 * A worker reports the flows that it opened or denied to the main thread, through a ring in shared
 * memory: one writer, one reader, and neither ever waits. When the reader is late, the worker
 * counts what it could not write and goes on, so a flood costs a bounded amount.
 *
 *     word 0  events written so far, wrapping
 *     word 1  events read so far
 *     word 2  events lost
 *     from word 16: CAPACITY events of 16 words
 *       0 family   1 protocol   2-5 source   6-9 destination   10 source port
 *       11 destination port   12 reason   13 direction   14 audited
 */
import { FIRST_DENY } from '../filter/reasons.ts';
import type { Packet } from '../packet/packet.ts';

const WRITTEN = 0;
const READ = 1;
const LOST = 2;
const EVENTS = 16;
const EVENT_WORDS = 16;
/** A power of two, so that an event's slot follows from the wrapping count. */
const CAPACITY = 4096;
/** Denied flows fill the ring only up to here: a flood of them leaves room for allowed flows. */
const CAPACITY_DENIED = 3072;

export interface FlowEvent {
  readonly family: 4 | 6;
  /** IANA number. */
  readonly protocol: number;
  /** The address in 32-bit words: one for IPv4, four for IPv6. */
  readonly source: readonly number[];
  readonly destination: readonly number[];
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Index into REASONS. */
  readonly reason: number;
  /** 0 egress, 1 ingress: the direction that denied, or else the direction of the endpoint. */
  readonly direction: number;
  /** Only audited policies deny it, so it passes. */
  readonly audited: boolean;
}

export class FlowEvents {
  readonly #words: Int32Array;
  #skipped = 0;
  /** How many of the ring's lost events `takeLost` has returned already. */
  #told = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  static shared(): SharedArrayBuffer {
    return new SharedArrayBuffer((EVENTS + CAPACITY * EVENT_WORDS) * Int32Array.BYTES_PER_ELEMENT);
  }

  /**
   * Writer's end: writes an event, or counts it as lost. Allocates nothing.
   * @param audited only audited policies deny the packet
   * @param reversed the packet runs from the destination of its flow to the source
   */
  write(packet: Packet, reason: number, direction: number, audited = false, reversed = false): void {
    const words = this.#words;
    const written = words[WRITTEN] as number;
    if (((written - Atomics.load(words, READ)) | 0) >= (reason < FIRST_DENY ? CAPACITY : CAPACITY_DENIED)) {
      words[LOST] = (words[LOST] as number) + 1;
      return;
    }
    const at = EVENTS + (written & (CAPACITY - 1)) * EVENT_WORDS;
    words[at] = packet.family;
    words[at + 1] = packet.protocol;
    const from = at + (reversed ? 6 : 2);
    const to = at + (reversed ? 2 : 6);
    words[from] = packet.src0;
    words[from + 1] = packet.src1;
    words[from + 2] = packet.src2;
    words[from + 3] = packet.src3;
    words[to] = packet.dst0;
    words[to + 1] = packet.dst1;
    words[to + 2] = packet.dst2;
    words[to + 3] = packet.dst3;
    words[at + (reversed ? 11 : 10)] = packet.srcPort;
    words[at + (reversed ? 10 : 11)] = packet.dstPort;
    words[at + 12] = reason;
    words[at + 13] = direction;
    words[at + 14] = audited ? 1 : 0;
    Atomics.store(words, WRITTEN, (written + 1) | 0);
  }

  /**
   * Reader's end: passes unread events to `take`, oldest first, while `mayGoOn` returns true. The
   * next call passes the rest.
   */
  drain(take: (event: FlowEvent) => void, mayGoOn: () => boolean = () => true): void {
    const words = this.#words;
    const written = Atomics.load(words, WRITTEN);
    for (let read = words[READ] as number; read !== written && mayGoOn(); read = (read + 1) | 0) {
      take(this.#read(EVENTS + (read & (CAPACITY - 1)) * EVENT_WORDS));
      Atomics.store(words, READ, (read + 1) | 0);
    }
  }

  /** Reader's end: drops the unread events and counts them as lost. */
  skip(): void {
    const words = this.#words;
    const written = Atomics.load(words, WRITTEN);
    this.#skipped += (written - (words[READ] as number)) | 0;
    Atomics.store(words, READ, written);
  }

  /** Reader's end: returns how many events were lost since the last call, skipped ones included. */
  takeLost(): number {
    const full = this.#words[LOST] as number;
    const lost = ((full - this.#told) >>> 0) + this.#skipped;
    this.#told = full;
    this.#skipped = 0;
    return lost;
  }

  #read(at: number): FlowEvent {
    const words = this.#words;
    const word = (index: number) => words[at + index] as number;
    const family = word(0) === 6 ? 6 : 4;
    return {
      ...{ family, protocol: word(1) },
      source: family === 6 ? [word(2), word(3), word(4), word(5)] : [word(2)],
      destination: family === 6 ? [word(6), word(7), word(8), word(9)] : [word(6)],
      ...{ sourcePort: word(10), destinationPort: word(11), reason: word(12), direction: word(13) },
      audited: word(14) === 1,
    };
  }
}
