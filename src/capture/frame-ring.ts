/**
 * A ring of frames, in memory shared by the process that captures and the one that judges. One
 * writer, one reader. Each waits on its own eventfd and says so in the ring; only then does the
 * other write to that eventfd.
 *
 *     word 0   position of the writer, in units of 8 bytes, wrapping
 *     word 16  position of the reader, likewise
 *     word 32  the reader waits
 *     word 48  the writer waits for room
 *     words 64 to 79, float64: frames captured, frames dropped because the kernel's buffer was full
 *     from byte 512: records of int32 stored bytes, real length, tag, 0; then the frame, padded to
 *                    8 bytes. -1 as stored bytes: the next record is at the start
 *
 * A writer that is killed leaves no half record, and the next one continues where it stopped.
 */
import { type PinnedMemory, POLLIN, poll, read, signalEventfd } from '../sys/libc.ts';

const WRITTEN = 0;
const READ = 16;
const READER_WAITS = 32;
const WRITER_WAITS = 48;
const COUNTERS_BYTE = 256;
const CAPTURED = 0;
const DROPPED = 1;
const RECORDS = 512;
const RECORD_HEADER = 16;
const HEADER_WORDS = 4;
const UNIT_SHIFT = 3;
const TO_THE_START = -1;

/**
 * Bytes for records: a power of two, small enough to stay in a cache. When the ring is full, frames
 * wait in the kernel's buffer.
 */
const LENGTH = 1 << 22;
export const RING_BYTES = RECORDS + LENGTH;
const UNITS = LENGTH >> UNIT_SHIFT;

class Ring {
  protected readonly words: Int32Array;
  protected readonly counters: Float64Array;

  constructor({ buffer }: PinnedMemory) {
    this.words = new Int32Array(buffer);
    this.counters = new Float64Array(buffer, COUNTERS_BYTE, 8);
  }
}

export class FrameRingWriter extends Ring {
  readonly #bytes: Uint8Array;
  readonly #wake: number;
  readonly #room: EventWaiter;

  /**
   * @param wake the reader's eventfd
   * @param room the writer's own eventfd
   */
  constructor(memory: PinnedMemory, wake: number, room: number) {
    super(memory);
    this.#bytes = new Uint8Array(memory.buffer);
    this.#wake = wake;
    this.#room = new EventWaiter([room]);
  }

  /**
   * Writes the first `length` bytes of a frame and wakes the reader if it waits. Blocks while the
   * ring is full. `realLength` and `tag` are for the reader.
   */
  write(frame: Uint8Array, length: number, realLength: number, tag: number): void {
    const { words } = this;
    const units = (RECORD_HEADER + length + 7) >>> UNIT_SHIFT;
    let written = words[WRITTEN] as number;
    const untilEnd = UNITS - (written & (UNITS - 1));
    const isSplit = units > untilEnd;
    this.#waitForRoom(written, isSplit ? untilEnd + units : units);
    if (isSplit) {
      words[wordOf(written)] = TO_THE_START;
      written = (written + untilEnd) | 0;
    }
    const at = wordOf(written);
    words[at] = length;
    words[at + 1] = realLength;
    words[at + 2] = tag;
    this.#bytes.set(length === frame.length ? frame : frame.subarray(0, length), (at + HEADER_WORDS) << 2);
    this.counters[CAPTURED] = (this.counters[CAPTURED] as number) + 1;
    Atomics.store(words, WRITTEN, (written + units) | 0);
    if (Atomics.exchange(words, READER_WAITS, 0) !== 0) signalEventfd(this.#wake);
  }

  countDropped(frames: number): void {
    this.counters[DROPPED] = (this.counters[DROPPED] as number) + frames;
  }

  #waitForRoom(written: number, units: number): void {
    const { words } = this;
    while (((written - Atomics.load(words, READ)) | 0) + units > UNITS) {
      Atomics.store(words, WRITER_WAITS, 1);
      if (((written - Atomics.load(words, READ)) | 0) + units <= UNITS) break;
      this.#room.wait(1000);
    }
  }
}

export class FrameRingReader extends Ring {
  readonly view: DataView;
  /** Address of byte 0 of `view` in this process. */
  readonly address: bigint;
  /**
   * The record that `next` found: offset of its frame in `view`, stored bytes, real length, tag.
   */
  offset = 0;
  length = 0;
  realLength = 0;
  tag = 0;
  readonly #room: number;
  #read: number;

  /** @param room the writer's eventfd */
  constructor(memory: PinnedMemory, room: number) {
    super(memory);
    this.view = new DataView(memory.buffer);
    this.address = memory.address;
    this.#room = room;
    this.#read = this.words[READ] as number;
  }

  /**
   * Moves to the next frame; false if there is none yet. The frame stays in place until `release`.
   */
  next(): boolean {
    const { words } = this;
    const written = Atomics.load(words, WRITTEN);
    if (this.#read === written) return false;
    let at = wordOf(this.#read);
    if (words[at] === TO_THE_START) {
      this.#read = (this.#read + UNITS - (this.#read & (UNITS - 1))) | 0;
      at = wordOf(this.#read);
    }
    this.length = words[at] as number;
    this.realLength = words[at + 1] as number;
    this.tag = words[at + 2] as number;
    this.offset = (at + HEADER_WORDS) << 2;
    this.#read = (this.#read + ((RECORD_HEADER + this.length + 7) >>> UNIT_SHIFT)) | 0;
    return true;
  }

  /** Frees the room of all frames read so far. */
  release(): void {
    const { words } = this;
    Atomics.store(words, READ, this.#read);
    if (Atomics.exchange(words, WRITER_WAITS, 0) !== 0) signalEventfd(this.#room);
  }

  /** Skips all frames in the ring. */
  clear(): void {
    while (this.next());
    this.release();
  }

  /**
   * Announces that the reader is about to wait on its eventfd; false if a frame has arrived
   * meanwhile.
   */
  mayWait(): boolean {
    const { words } = this;
    Atomics.store(words, READER_WAITS, 1);
    return Atomics.load(words, WRITTEN) === this.#read;
  }

  get captured(): number {
    return this.counters[CAPTURED] as number;
  }

  get dropped(): number {
    return this.counters[DROPPED] as number;
  }
}

/** Returns the word index of the record at a position. */
function wordOf(position: number): number {
  return (RECORDS >> 2) + ((position & (UNITS - 1)) << (UNIT_SHIFT - 2));
}

/** Waits for eventfds and sockets. Resets eventfds by reading them; does not read from sockets. */
export class EventWaiter {
  readonly #descriptors: Uint8Array;
  readonly #events: Int16Array;
  readonly #eventfds: readonly number[];
  readonly #count = new Uint8Array(8);

  constructor(eventfds: readonly number[], sockets: readonly number[] = []) {
    this.#eventfds = eventfds;
    const all = [...eventfds, ...sockets];
    const words = new Int32Array(2 * all.length);
    this.#descriptors = new Uint8Array(words.buffer);
    this.#events = new Int16Array(words.buffer);
    for (const [i, fd] of all.entries()) {
      words[2 * i] = fd;
      this.#events[4 * i + 2] = POLLIN;
    }
  }

  /** Waits for any of them, `timeout` ms at most. */
  wait(timeout: number): void {
    if (poll(this.#descriptors, this.#descriptors.length >> 3, timeout) <= 0) return;
    for (const [i, fd] of this.#eventfds.entries()) {
      if (this.#events[4 * i + 3] !== 0) read(fd, this.#count, 8);
    }
  }
}
