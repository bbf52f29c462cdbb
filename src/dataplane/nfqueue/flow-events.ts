/**
 * Flows that a worker opened or denied, told to the main thread through a ring in shared memory: one writer, one reader, no wait on either side. When
 * the reader is late, the worker counts what it could not write and goes on; a flood costs a bounded amount.
 *
 *     word 0  events written so far, wrapping      word 1  events read so far      word 2  events lost
 *     from word 16: CAPACITY events of 16 words
 *       0 family   1 protocol   2-5 source   6-9 destination   10 source port   11 destination port   12 reason   13 direction
 */
import type { Packet } from '../../packet/packet.ts';

const WRITTEN = 0;
const READ = 1;
const LOST = 2;
const EVENTS = 16;
const EVENT_WORDS = 16;
/** A power of two, so that the wrapping count of events still tells an event's place. */
const CAPACITY = 4096;

export interface FlowEvent {
  readonly family: 4 | 6;
  /** IANA number. */
  readonly protocol: number;
  /** Words of the addresses, one or four. */
  readonly source: readonly number[];
  readonly destination: readonly number[];
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Index into REASONS. */
  readonly reason: number;
  /** 0 egress, 1 ingress: the side that denied, or the side whose endpoint it is. */
  readonly direction: number;
}

export class FlowEvents {
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  static shared(): SharedArrayBuffer {
    return new SharedArrayBuffer((EVENTS + CAPACITY * EVENT_WORDS) * Int32Array.BYTES_PER_ELEMENT);
  }

  /** The worker's end. Allocates nothing. */
  write(packet: Packet, reason: number, direction: number): void {
    const words = this.#words;
    const written = words[WRITTEN] as number;
    if (((written - Atomics.load(words, READ)) | 0) >= CAPACITY) {
      words[LOST] = (words[LOST] as number) + 1;
      return;
    }
    const at = EVENTS + (written & (CAPACITY - 1)) * EVENT_WORDS;
    words[at] = packet.family;
    words[at + 1] = packet.protocol;
    words[at + 2] = packet.src0;
    words[at + 3] = packet.src1;
    words[at + 4] = packet.src2;
    words[at + 5] = packet.src3;
    words[at + 6] = packet.dst0;
    words[at + 7] = packet.dst1;
    words[at + 8] = packet.dst2;
    words[at + 9] = packet.dst3;
    words[at + 10] = packet.srcPort;
    words[at + 11] = packet.dstPort;
    words[at + 12] = reason;
    words[at + 13] = direction;
    Atomics.store(words, WRITTEN, (written + 1) | 0);
  }

  /** The reader's end: gives what was written since, oldest first. */
  drain(take: (event: FlowEvent) => void): void {
    const words = this.#words;
    const written = Atomics.load(words, WRITTEN);
    for (let read = words[READ] as number; read !== written; read = (read + 1) | 0) {
      const at = EVENTS + (read & (CAPACITY - 1)) * EVENT_WORDS;
      const [family = 4, protocol = 0] = words.subarray(at, at + 2);
      const length = family === 6 ? 4 : 1;
      const [sourcePort = -1, destinationPort = -1, reason = 0, direction = 0] = words.subarray(at + 10, at + 14);
      take({
        family: family === 6 ? 6 : 4,
        protocol,
        source: [...words.subarray(at + 2, at + 2 + length)],
        destination: [...words.subarray(at + 6, at + 6 + length)],
        ...{ sourcePort, destinationPort, reason, direction },
      });
      Atomics.store(words, READ, (read + 1) | 0);
    }
  }

  /** Events that found the ring full. */
  get lost(): number {
    return (this.#words[LOST] as number) >>> 0;
  }
}
