/** Cuts a stream of bytes into lines. A watch sends one JSON object on each line. */
import { ApiError } from './api-error.ts';

const NEWLINE = 0x0a;

export class LineScanner {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #size = 0;

  /** @param limit longest line in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Yields the lines that end in `chunk`, without their newline. They are bytes, because a
   * character may be split between chunks. A line is valid until the next one is taken.
   * @throws ApiError `malformed` for a line longer than the limit
   */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let start = 0;
    while (true) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end < 0) break;
      const line = this.#finish(chunk.subarray(start, end));
      start = end + 1;
      if (line.length > 0) yield line;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /** @throws ApiError `malformed` if the stream ends in the middle of a line */
  end(): void {
    if (this.#size > 0) throw new ApiError('malformed', 'the stream ended in the middle of a line');
  }

  #keep(part: Buffer): void {
    this.#size += part.length;
    if (this.#size > this.#limit) {
      throw new ApiError('malformed', `a line of the stream is longer than ${this.#limit} bytes`);
    }
    this.#parts.push(part);
  }

  #finish(last: Buffer): Buffer {
    if (this.#size === 0 && last.length <= this.#limit) return last;
    this.#keep(last);
    const line = Buffer.concat(this.#parts, this.#size);
    this.#parts = [];
    this.#size = 0;
    return line;
  }
}
