/** What the capture formats have in common. */

/**
 * Takes one packet: `captured` bytes at `offset` of the view, valid only during the call; `length`,
 * its real length; `time` in ms since 1970, NaN if not recorded; the LINKTYPE_ number; and the byte
 * order of the machine that captured it.
 */
export type TakePacket = (
  view: DataView,
  offset: number,
  captured: number,
  length: number,
  time: number,
  linkType: number,
  littleEndian: boolean,
) => void;

/** A parser's state for one file, read from its beginning. */
export interface CaptureFormat {
  readonly name: string;
  /**
   * Takes the complete records between `start` and `end` of the view. Returns where the first
   * incomplete one starts; the next call continues from there with more bytes. @throws
   * CaptureFileError
   */
  read(view: DataView, start: number, end: number, take: TakePacket): number;
}

/** The bytes are not a capture, or a damaged one. */
export class CaptureFileError extends Error {
  override readonly name = 'CaptureFileError';
  /** Offset in the view that was being read. */
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** Longer packets are damage: libpcap's MAXIMUM_SNAPLEN. */
export const LONGEST_PACKET = 262_144;
