/** What the formats of recorded captures have in common. */

/**
 * Takes one packet: `captured` bytes at `offset` of the view, which are there only during the call; `length` its real length; `time` in ms since 1970, NaN where
 * it is not recorded; the LINKTYPE_ number; the byte order of the machine that captured it.
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

/** One file's state while it is read from its beginning. */
export interface CaptureFormat {
  readonly name: string;
  /**
   * Takes the whole records between `start` and `end` of the view; gives back where the first one starts that is not there as a whole. Called again with more, from
   * there on. @throws CaptureFileError
   */
  read(view: DataView, start: number, end: number, take: TakePacket): number;
}

/** Bytes that are no capture, or one that is damaged. */
export class CaptureFileError extends Error {
  override readonly name = 'CaptureFileError';
  /** Where in the view that was read. */
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** The longest packet that is believed: libpcap's MAXIMUM_SNAPLEN. */
export const LONGEST_PACKET = 262_144;
