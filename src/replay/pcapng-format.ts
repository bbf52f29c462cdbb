/**
 * The pcapng format (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html): blocks of a
 * type, a length, a body and the length again. A section starts with its byte order. Its
 * interfaces, numbered in order, define link type and time resolution.
 */
import { CaptureFileError, type CaptureFormat, LONGEST_PACKET, type TakePacket } from './capture-format.ts';

export const SECTION_HEADER = 0x0a0d0d0a;
export const INTERFACE_DESCRIPTION = 1;
const PACKET = 2;
const SIMPLE_PACKET = 3;
export const ENHANCED_PACKET = 6;
export const BYTE_ORDER = 0x1a2b3c4d;

/** Type and length before the body; the length after it. */
const BLOCK_HEADER = 8;
const BLOCK_OVERHEAD = 12;
/** Bytes before the packet in its block. */
const PACKET_HEADER = 20;
const OPT_END = 0;
const IF_TSRESOL = 9;
const IF_TSOFFSET = 14;
/** Blocks with names, keys and statistics may be large, but there is a limit. */
const LONGEST_BLOCK = 1 << 26;
/** Interfaces per section: as many as the older packet block can number (16 bits). */
export const MOST_INTERFACES = 65_536;

interface Interface {
  readonly linkType: number;
  readonly snapLength: number;
  /** Time units per ms. */
  readonly perMs: number;
  /** Added to its times, in ms. */
  readonly offset: number;
}

export class PcapngFormat implements CaptureFormat {
  readonly name = 'pcapng';
  #littleEndian = true;
  #interfaces: Interface[] = [];

  /** @param magic the file's first four bytes, as a big-endian number */
  static of(magic: number): PcapngFormat | undefined {
    return magic === SECTION_HEADER ? new PcapngFormat() : undefined;
  }

  read(view: DataView, start: number, end: number, take: TakePacket): number {
    let at = start;
    while (end - at >= BLOCK_OVERHEAD) {
      const type = view.getUint32(at, this.#littleEndian);
      // The type reads the same in either byte order.
      if (type === SECTION_HEADER) this.#beginSection(view, at);
      const length = view.getUint32(at + 4, this.#littleEndian);
      if (length < BLOCK_OVERHEAD || length % 4 !== 0 || length > LONGEST_BLOCK) {
        throw new CaptureFileError(at, `a block of ${length} bytes`);
      }
      if (end - at < length) break;
      this.#readBlock(view, type, at + BLOCK_HEADER, at + length - 4, take);
      at += length;
    }
    return at;
  }

  #beginSection(view: DataView, at: number): void {
    const order = view.getUint32(at + BLOCK_HEADER);
    this.#littleEndian = order !== BYTE_ORDER;
    if (this.#littleEndian && view.getUint32(at + BLOCK_HEADER, true) !== BYTE_ORDER) {
      throw new CaptureFileError(at, 'a section without a byte order');
    }
    this.#interfaces = [];
  }

  #readBlock(view: DataView, type: number, at: number, end: number, take: TakePacket): void {
    const littleEndian = this.#littleEndian;
    switch (type) {
      case INTERFACE_DESCRIPTION:
        if (end - at < 8) throw new CaptureFileError(at, 'an interface without a link type');
        if (this.#interfaces.length >= MOST_INTERFACES) {
          throw new CaptureFileError(at - BLOCK_HEADER, `more than ${MOST_INTERFACES} interfaces in one section`);
        }
        this.#interfaces.push(readInterface(view, at, end, littleEndian));
        break;
      case ENHANCED_PACKET:
      case PACKET: {
        if (end - at < PACKET_HEADER) throw new CaptureFileError(at, 'a packet without a header');
        const number = type === PACKET ? view.getUint16(at, littleEndian) : view.getUint32(at, littleEndian);
        const { linkType, perMs, offset } = this.#interface(number, at);
        const captured = this.#length(view, at + 12, at + PACKET_HEADER, end);
        const length = Math.max(captured, view.getUint32(at + 16, littleEndian));
        const units = view.getUint32(at + 4, littleEndian) * 0x1_0000_0000 + view.getUint32(at + 8, littleEndian);
        const time = dateOf(units / perMs + offset);
        take(view, at + PACKET_HEADER, captured, length, time, linkType, littleEndian);
        break;
      }
      case SIMPLE_PACKET: {
        if (end - at < 4) throw new CaptureFileError(at, 'a packet without a header');
        const { linkType, snapLength } = this.#interface(0, at);
        const length = view.getUint32(at, littleEndian);
        const captured = Math.min(length, snapLength, end - at - 4);
        take(view, at + 4, captured, length, Number.NaN, linkType, littleEndian);
        break;
      }
    }
  }

  #interface(number: number, at: number): Interface {
    const found = this.#interfaces[number];
    if (found === undefined) {
      throw new CaptureFileError(at, `a packet of interface ${number}, which is not described`);
    }
    return found;
  }

  /** Reads the captured length at `at` of a packet that starts at `packet`. */
  #length(view: DataView, at: number, packet: number, end: number): number {
    const captured = view.getUint32(at, this.#littleEndian);
    if (captured > Math.min(LONGEST_PACKET, end - packet)) {
      throw new CaptureFileError(at, `a packet of ${captured} bytes in a smaller block`);
    }
    return captured;
  }
}

function readInterface(view: DataView, start: number, end: number, littleEndian: boolean): Interface {
  let perMs = 1e3;
  let offset = 0;
  for (let at = start + 8; at + 4 <= end; ) {
    const code = view.getUint16(at, littleEndian);
    const length = view.getUint16(at + 2, littleEndian);
    const value = at + 4;
    if (code === OPT_END || value + length > end) break;
    if (code === IF_TSRESOL && length === 1) perMs = unitsPerMs(view.getUint8(value));
    if (code === IF_TSOFFSET && length === 8) offset = Number(view.getBigInt64(value, littleEndian)) * 1000;
    at = value + ((length + 3) & ~3);
  }
  const snapLength = view.getUint32(start + 4, littleEndian) || LONGEST_PACKET;
  return { linkType: view.getUint16(start, littleEndian), snapLength, perMs, offset };
}

/**
 * Returns the time, or NaN if it is outside ECMA-262's time values: a damaged file has no known
 * time.
 */
function dateOf(time: number): number {
  return Math.abs(time) <= 8.64e15 ? time : Number.NaN;
}

/** `resolution` is a negative power of 10, or of 2 if the high bit is set. */
function unitsPerMs(resolution: number): number {
  const exponent = resolution & 0x7f;
  return ((resolution & 0x80) === 0 ? 10 ** exponent : 2 ** exponent) / 1000;
}
