/**
 * The pcap format (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html): a file header,
 * then records, each with a header of 16 bytes and a packet.
 */
import { CaptureFileError, type CaptureFormat, LONGEST_PACKET, type TakePacket } from './capture-format.ts';

const FILE_HEADER = 24;
const RECORD_HEADER = 16;

/**
 * By the first four bytes, read as big-endian: byte order, and units of the time fraction per ms.
 */
const MAGICS: ReadonlyMap<number, { readonly littleEndian: boolean; readonly perMs: number }> = new Map([
  [0xa1b2c3d4, { littleEndian: false, perMs: 1e3 }],
  [0xd4c3b2a1, { littleEndian: true, perMs: 1e3 }],
  [0xa1b23c4d, { littleEndian: false, perMs: 1e6 }],
  [0x4d3cb2a1, { littleEndian: true, perMs: 1e6 }],
]);

export class PcapFormat implements CaptureFormat {
  readonly name = 'pcap';
  readonly #littleEndian: boolean;
  readonly #perMs: number;
  /** -1 until the file header is read. */
  #linkType = -1;
  #longest = LONGEST_PACKET;

  private constructor(littleEndian: boolean, perMs: number) {
    this.#littleEndian = littleEndian;
    this.#perMs = perMs;
  }

  /** @param magic the file's first four bytes, as a big-endian number */
  static of(magic: number): PcapFormat | undefined {
    const known = MAGICS.get(magic);
    return known && new PcapFormat(known.littleEndian, known.perMs);
  }

  read(view: DataView, start: number, end: number, take: TakePacket): number {
    const littleEndian = this.#littleEndian;
    let at = start;
    if (this.#linkType < 0) {
      if (end - at < FILE_HEADER) return at;
      this.#longest = Math.max(LONGEST_PACKET, view.getUint32(at + 16, littleEndian) & 0x7fffff);
      // The upper bits contain the length of the frame check sequence.
      this.#linkType = view.getUint32(at + 20, littleEndian) & 0xffff;
      at += FILE_HEADER;
    }
    while (end - at >= RECORD_HEADER) {
      const captured = view.getUint32(at + 8, littleEndian);
      if (captured > this.#longest) {
        throw new CaptureFileError(at, `a packet of ${captured} bytes`);
      }
      const packet = at + RECORD_HEADER;
      if (end - packet < captured) break;
      const seconds = view.getUint32(at, littleEndian);
      if (captured === 0 && seconds === 0) throw new CaptureFileError(at, 'a packet without bytes and time');
      const time = seconds * 1000 + view.getUint32(at + 4, littleEndian) / this.#perMs;
      const length = Math.max(captured, view.getUint32(at + 12, littleEndian));
      take(view, packet, captured, length, time, this.#linkType, littleEndian);
      at = packet + captured;
    }
    return at;
  }
}
