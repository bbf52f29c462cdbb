/** NRI's multiplexer: frames in any pieces, and its limits. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NriError } from '../../src/nri/error.ts';
import { Mux } from '../../src/nri/mux.ts';
import { frame } from './fake-runtime.ts';
import { cutAt } from './pieces.ts';

function received(pieces: readonly Uint8Array[]): Map<number, Buffer> {
  const payloads = new Map<number, Buffer>();
  const mux = new Mux(
    () => {},
    (connection, bytes) =>
      payloads.set(connection, Buffer.concat([payloads.get(connection) ?? Buffer.alloc(0), bytes])),
  );
  for (const piece of pieces) mux.push(piece);
  return payloads;
}

test('The payload of every connection arrives whole and in order, wherever the stream is cut', () => {
  const frames = fc.array(fc.tuple(fc.constantFrom(1, 2, 7), fc.uint8Array({ maxLength: 40 })), { maxLength: 12 });
  fc.assert(
    fc.property(frames, fc.array(fc.nat({ max: 600 })), (frames, cuts) => {
      const stream = Buffer.concat(frames.map(([connection, payload]) => frame(connection, payload)));
      const expected = new Map<number, Buffer>();
      for (const [connection, payload] of frames) {
        if (payload.length === 0) continue;
        expected.set(connection, Buffer.concat([expected.get(connection) ?? Buffer.alloc(0), payload]));
      }
      expect(received(cutAt(stream, cuts))).toEqual(expected);
    }),
  );
});

test('What is written arrives at the other end, in frames that fit into the buffer of the runtime', () => {
  const sent: Uint8Array[] = [];
  const mux = new Mux(
    (bytes) => sent.push(bytes),
    () => {},
  );
  const payload = Buffer.alloc(10_000, 'podfence');
  mux.write(2, payload);
  expect(sent.map(({ length }) => length - 8)).toEqual([4096, 4096, 1808]);
  expect(received(sent)).toEqual(new Map([[2, payload]]));
});

test('A frame of 4 MiB and a header is allowed; a longer one is refused by its header alone', () => {
  const longest = 10 + (4 << 20);
  expect(() => received([frame(1, Buffer.alloc(0), longest)])).not.toThrow();
  const error = failureOf(() => received([frame(1, Buffer.alloc(0), longest + 1)]));
  expect(error).toMatchObject({ code: 'frame-too-long', message: expect.stringContaining(String(longest + 1)) });
});

function failureOf(act: () => void): NriError | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof NriError) return error;
    throw error;
  }
  return undefined;
}
