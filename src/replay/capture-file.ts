/** Reads a recorded capture as a stream: its length does not affect memory. */
import { close, open, read } from 'node:fs';
import { promisify } from 'node:util';
import { CaptureFileError, type CaptureFormat, type TakePacket } from './capture-format.ts';
import { PcapFormat } from './pcap-format.ts';
import { PcapngFormat } from './pcapng-format.ts';

/** Bytes per read. The buffer grows only for a longer record. */
const CHUNK = 1 << 20;
const GZIP = 0x1f8b;

/** How reading ended. */
export interface CaptureEnd {
  /** pcap or pcapng. */
  readonly format: string;
  readonly bytes: number;
  /** Why the file was not read to its end: it is cut off or damaged, or the caller interrupted. */
  readonly incomplete?: { readonly reason: 'cut off' | 'damaged' | 'interrupted'; readonly message: string };
}

/**
 * Reads a pcap or pcapng file.
 * @param path `-` is standard input
 * @param isOver asked after each piece of the file: true stops reading
 * @throws CaptureFileError if it is neither format, and fs errors if it cannot be read
 */
export async function readCapture(path: string, take: TakePacket, isOver = () => false): Promise<CaptureEnd> {
  if (path === '-') return await readAll(standardInput(), take, isOver);
  const fd = await promisify(open)(path, 'r');
  try {
    const readSome: ReadSome = async (buffer, at) => (await promisify(read)(fd, buffer, at, CHUNK, null)).bytesRead;
    return await readAll(readSome, take, isOver);
  } finally {
    await promisify(close)(fd);
  }
}

/** Reads up to CHUNK bytes into a buffer. Returns how many; 0 at the end. */
type ReadSome = (buffer: Buffer, at: number) => Promise<number>;

/** Reads by stream: once Node.js has touched its standard input, read(2) of an empty pipe fails. */
function standardInput(): ReadSome {
  const chunks: AsyncIterator<Buffer> = process.stdin[Symbol.asyncIterator]();
  return async (buffer, at) => {
    const { value, done } = await chunks.next();
    if (done) return 0;
    buffer.set(value, at);
    return value.length;
  };
}

async function readAll(readSome: ReadSome, take: TakePacket, isOver: () => boolean): Promise<CaptureEnd> {
  let buffer = Buffer.allocUnsafeSlow(2 * CHUNK);
  let view = new DataView(buffer.buffer);
  let format: CaptureFormat | undefined;
  /** Bytes read from the file. */
  let bytes = 0;
  /** Bytes in the buffer that are not taken yet. */
  let end = 0;
  for (;;) {
    const count = await readSome(buffer, end);
    if (count === 0) break;
    bytes += count;
    end += count;
    format ??= end < 4 ? undefined : formatOf(view.getUint32(0));
    if (format === undefined) continue;
    let start = 0;
    try {
      start = format.read(view, 0, end, take);
    } catch (error) {
      if (!(error instanceof CaptureFileError)) throw error;
      const message = `at byte ${bytes - end + error.at}: ${error.message}`;
      return { format: format.name, bytes, incomplete: { reason: 'damaged', message } };
    }
    buffer.copyWithin(0, start, end);
    end -= start;
    if (isOver()) {
      return { format: format.name, bytes, incomplete: { reason: 'interrupted', message: `at byte ${bytes - end}` } };
    }
    if (end + CHUNK > buffer.length) {
      const larger = Buffer.allocUnsafeSlow(2 * buffer.length);
      larger.set(buffer.subarray(0, end));
      buffer = larger;
      view = new DataView(buffer.buffer);
    }
  }
  if (format === undefined)
    throw new CaptureFileError(0, bytes === 0 ? 'it is empty' : 'it is shorter than any capture');
  if (end === 0) return { format: format.name, bytes };
  const message = `at byte ${bytes - end}: the rest of a packet is missing`;
  return { format: format.name, bytes, incomplete: { reason: 'cut off', message } };
}

function formatOf(magic: number): CaptureFormat {
  const format = PcapFormat.of(magic) ?? PcapngFormat.of(magic);
  if (format !== undefined) return format;
  if (magic >>> 16 === GZIP) {
    throw new CaptureFileError(
      0,
      'it is compressed: gunzip it, or give it as standard input: zcat FILE | podfence replay -',
    );
  }
  throw new CaptureFileError(0, 'it is neither pcap nor pcapng');
}
