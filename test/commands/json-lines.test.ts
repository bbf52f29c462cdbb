import { expect, test } from 'vitest';
import { type Line, linesOf } from '../../src/commands/explain/json-lines.ts';

async function read(limit: number, ...chunks: readonly (string | Uint8Array)[]): Promise<Line[]> {
  async function* input() {
    for (const chunk of chunks) yield typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk;
  }
  const lines: Line[] = [];
  for await (const some of linesOf(input(), limit)) lines.push(...some);
  return lines;
}

test('lines are found wherever chunks are cut, even within a character, and the last one needs no newline', async () => {
  const bytes = new TextEncoder().encode('ä1\n\nb2\r\nc3');
  const expected = [
    { number: 1, text: 'ä1' },
    { number: 3, text: 'b2\r' },
    { number: 4, text: 'c3' },
  ];
  for (let cut = 0; cut <= bytes.length; cut++) {
    expect(await read(10, bytes.subarray(0, cut), bytes.subarray(cut))).toEqual(expected);
  }
  expect(await read(10, ...Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(expected);
});

test('a line that is too long is reported once, and the next one is read', async () => {
  const long = { number: 2, text: undefined };
  const others = [{ number: 1, text: 'a' }, long, { number: 3, text: 'b' }];
  expect(await read(4, 'a\n12345\nb\n')).toEqual(others);
  expect(await read(4, 'a\n12', '345', '6789', '0\nb')).toEqual(others);
  expect(await read(4, 'a\n1234567', '8')).toEqual([{ number: 1, text: 'a' }, long]);
  expect(await read(4, 'a\n1234\nb')).toEqual([
    { number: 1, text: 'a' },
    { number: 2, text: '1234' },
    { number: 3, text: 'b' },
  ]);
});

test('a byte order mark before the first line is skipped', async () => {
  const bytes = new TextEncoder().encode('\ufeffa\n\ufeffb');
  const expected = [
    { number: 1, text: 'a' },
    { number: 2, text: '\ufeffb' },
  ];
  for (let cut = 0; cut <= bytes.length; cut++) {
    expect(await read(10, bytes.subarray(0, cut), bytes.subarray(cut))).toEqual(expected);
  }
});
