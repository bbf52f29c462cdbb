/**
 * Splits a stream of bytes into lines, and holds no more than one. Drops a leading byte order mark.
 */
import { StringDecoder } from 'node:string_decoder';

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Undefined if the line is longer than the limit. */
  readonly text: string | undefined;
}

/**
 * Yields the lines of each chunk together, without empty ones.
 * @param limit longest line, in UTF-16 code units
 */
export async function* linesOf(
  input: AsyncIterable<Uint8Array>,
  limit: number,
): AsyncGenerator<readonly Line[], void, undefined> {
  const decoder = new StringDecoder('utf8');
  let number = 1;
  let rest = '';
  let isTooLong = false;
  let isStart = true;
  for await (const chunk of input) {
    const text = decoder.write(chunk as Buffer);
    const parts = (rest + (isStart ? text.replace(/^\ufeff/, '') : text)).split('\n');
    isStart &&= text === '';
    rest = parts.pop() ?? '';
    const lines: Line[] = [];
    for (const text of parts) {
      if (isTooLong || text.length > limit) lines.push({ number, text: undefined });
      else if (text.trim() !== '') lines.push({ number, text });
      isTooLong = false;
      number++;
    }
    if (rest.length > limit) {
      isTooLong = true;
      rest = '';
    }
    if (lines.length > 0) yield lines;
  }
  rest += decoder.end();
  if (isTooLong) yield [{ number, text: undefined }];
  else if (rest.trim() !== '') yield [{ number, text: rest }];
}
