/** Writes packets to a pcapng file as they were captured, with their link types and times. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { TakePacket } from './capture-format.ts';
import { BYTE_ORDER, ENHANCED_PACKET, INTERFACE_DESCRIPTION, SECTION_HEADER } from './pcapng-format.ts';

const BUFFER = 1 << 20;
const BLOCK_OVERHEAD = 12;
/** Times are in µs, the resolution of an interface that names none. */
const PER_MS = 1000;

/** Writing failed, for example because the disk is full. */
export class CaptureWriteError extends Error {
  override readonly name = 'CaptureWriteError';
}

export class CaptureWriter {
  readonly #path: string;
  readonly #fd: number;
  readonly #bytes = Buffer.alloc(BUFFER);
  readonly #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, BUFFER);
  #end = 0;
  /** Byte order of the section being written. */
  #littleEndian: boolean | undefined;
  readonly #interfaces = new Map<number, number>();
  packets = 0;

  /** @throws fs errors if the file cannot be created */
  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'w');
    // The headers make the file a valid capture even without packets.
    this.#beginSection(true);
  }

  /** @throws CaptureWriteError */
  readonly write: TakePacket = (view, offset, captured, length, time, linkType, littleEndian) => {
    // Some link types use the byte order of the capturing machine, which is the section's.
    if (littleEndian !== this.#littleEndian) this.#beginSection(littleEndian);
    const number = this.#interfaces.get(linkType) ?? this.#describe(linkType);
    const padded = (captured + 3) & ~3;
    const body = this.#block(ENHANCED_PACKET, 20 + padded);
    const units = Number.isNaN(time) ? 0 : Math.round(time * PER_MS);
    this.#set(body, number);
    this.#set(body + 4, Math.floor(units / 0x1_0000_0000));
    this.#set(body + 8, units % 0x1_0000_0000);
    this.#set(body + 12, captured);
    this.#set(body + 16, length);
    this.#bytes.set(new Uint8Array(view.buffer, view.byteOffset + offset, captured), body + 20);
    this.#bytes.fill(0, body + 20 + captured, body + 20 + padded);
    this.packets++;
  };

  /** @throws CaptureWriteError */
  flush(): void {
    try {
      for (let at = 0; at < this.#end; ) at += writeSync(this.#fd, this.#bytes, at, this.#end - at);
    } catch (error) {
      throw new CaptureWriteError(`${(error as Error).message} '${this.#path}'`);
    }
    this.#end = 0;
  }

  /** @throws CaptureWriteError */
  close(): void {
    this.flush();
    closeSync(this.#fd);
  }

  #beginSection(littleEndian: boolean): void {
    this.#littleEndian = littleEndian;
    this.#interfaces.clear();
    const body = this.#block(SECTION_HEADER, 16);
    this.#set(body, BYTE_ORDER);
    this.#view.setUint16(body + 4, 1, littleEndian);
    this.#view.setUint16(body + 6, 0, littleEndian);
    // Section length: not specified.
    this.#set(body + 8, 0xffffffff);
    this.#set(body + 12, 0xffffffff);
  }

  #describe(linkType: number): number {
    const number = this.#interfaces.size;
    this.#interfaces.set(linkType, number);
    const body = this.#block(INTERFACE_DESCRIPTION, 8);
    this.#view.setUint16(body, linkType, this.#littleEndian);
    this.#view.setUint16(body + 2, 0, this.#littleEndian);
    this.#set(body + 4, 0);
    return number;
  }

  /** Reserves a block and writes its header and trailer. Returns where its body starts. */
  #block(type: number, bodyLength: number): number {
    const length = bodyLength + BLOCK_OVERHEAD;
    if (this.#end + length > BUFFER) this.flush();
    const at = this.#end;
    this.#set(at, type);
    this.#set(at + 4, length);
    this.#set(at + length - 4, length);
    this.#end += length;
    return at + 8;
  }

  #set(at: number, value: number): void {
    this.#view.setUint32(at, value, this.#littleEndian);
  }
}
