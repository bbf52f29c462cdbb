/**
 * Cuts the JSON text of a list, `{"kind":"PodList","metadata":{...},"items":[{...},...]}`, into its
 * items as the bytes arrive. It never keeps the whole text or all objects of a page in memory, and
 * the event loop waits for the parsing of one object at most.
 *
 * It looks at strings and brackets only; the parser decides whether an item is JSON. In UTF-8 no
 * byte of a multi-byte character looks like ASCII.
 */
import { ApiError } from './api-error.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const SPACE = 0x20;

/** Bytes around the items: kind and metadata. The API server sends a few hundred. */
const MAX_ENVELOPE = 1024 * 1024;
const ITEMS_KEY = /"items"\s*:\s*$/;

export class ListScanner {
  readonly #limit: number;
  /** The bytes outside of items. */
  readonly #envelope: number[] = [];
  /** The current item's parts from earlier chunks. */
  #parts: Buffer[] = [];
  #size = 0;
  /** Open brackets; inside an item only the item's own. */
  #depth = 0;
  #inString = false;
  #escaped = false;
  #inItems = false;
  #inItem = false;

  /** @param limit longest item in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Yields the items that end in `chunk`, as bytes. An item is valid until the next one is taken.
   * @throws ApiError `malformed`
   */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let at = 0;
    while (at < chunk.length) {
      if (!this.#inItem) {
        at = this.#skipEnvelope(chunk, at);
        continue;
      }
      const end = this.#findItemEnd(chunk, at);
      const part = chunk.subarray(at, end);
      at = end;
      if (this.#depth > 0) {
        this.#keep(part);
      } else {
        this.#inItem = false;
        this.#depth = 2;
        yield this.#finish(part);
      }
    }
  }

  /**
   * Returns the parsed list without its items: `items` is empty.
   * @throws ApiError `malformed` if the text is cut off or not JSON
   */
  end(): unknown {
    try {
      return JSON.parse(Buffer.from(this.#envelope).toString());
    } catch (error) {
      throw new ApiError('malformed', `the list is not complete JSON: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Returns the offset of the next item's first byte, or the chunk's length. */
  #skipEnvelope(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      if (this.#inItems && byte !== CLOSE_BRACKET) {
        if (byte === OPEN_BRACE) {
          this.#inItem = true;
          this.#depth = 0;
          return at;
        }
        if (byte !== COMMA && byte > SPACE)
          throw new ApiError('malformed', 'the list has an item that is not an object');
        continue;
      }
      if (this.#envelope.length >= MAX_ENVELOPE) throw new ApiError('malformed', 'the answer is not a list');
      this.#inItems = !this.#inString && byte === OPEN_BRACKET && this.#depth === 1 && this.#isAfterItemsKey();
      this.#envelope.push(byte);
      this.#take(byte);
    }
    return chunk.length;
  }

  #isAfterItemsKey(): boolean {
    return ITEMS_KEY.test(String.fromCharCode(...this.#envelope.slice(-32)));
  }

  #take(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (this.#inString && byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inString = !this.#inString;
    else if (this.#inString) return;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#depth++;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#depth--;
  }

  /**
   * `#take` up to the item's end, with local variables: nearly every byte of a list passes here.
   */
  #findItemEnd(chunk: Buffer, from: number): number {
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    let at = from;
    while (at < chunk.length) {
      const byte = chunk[at++];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) inString = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
      else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) break;
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    return at;
  }

  #keep(part: Buffer): void {
    this.#size += part.length;
    if (this.#size > this.#limit) {
      throw new ApiError('malformed', `an item of the list is longer than ${this.#limit} bytes`);
    }
    this.#parts.push(part);
  }

  #finish(last: Buffer): Buffer {
    if (this.#size === 0 && last.length <= this.#limit) return last;
    this.#keep(last);
    const item = Buffer.concat(this.#parts, this.#size);
    this.#parts = [];
    this.#size = 0;
    return item;
  }
}
