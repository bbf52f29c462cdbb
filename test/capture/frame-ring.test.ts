import { describe, expect, it } from 'vitest';
import { FrameRingReader, FrameRingWriter, RING_BYTES } from '../../src/capture/frame-ring.ts';
import { close, eventfd } from '../../src/sys/libc.ts';
import { mapShared, sharedMemory } from '../../src/sys/shared-memory.ts';

class Rings implements Disposable {
  readonly #fds = [sharedMemory('test', RING_BYTES), eventfd(), eventfd()] as const;
  readonly writer = new FrameRingWriter(mapShared(this.#fds[0], RING_BYTES), this.#fds[1], this.#fds[2]);
  readonly reader = new FrameRingReader(mapShared(this.#fds[0], RING_BYTES), this.#fds[2]);

  /** The next frame: its bytes, its real length and its tag. */
  read(): readonly [readonly number[], number, number] | undefined {
    const { reader } = this;
    if (!reader.next()) return undefined;
    const { view, offset, length, realLength, tag } = reader;
    return [[...new Uint8Array(view.buffer, offset, length)], realLength, tag];
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds) close(fd);
  }
}

describe.skipIf(process.platform !== 'linux')('frames in memory that two processes see', () => {
  it('come out unchanged and in order', () => {
    using rings = new Rings();
    rings.writer.write(Uint8Array.of(1, 2, 3, 4), 3, 100, 7);
    rings.writer.write(Uint8Array.of(5), 1, 1, 8);
    expect([rings.read(), rings.read(), rings.read()]).toEqual([[[1, 2, 3], 100, 7], [[5], 1, 8], undefined]);
    expect(rings.reader.captured).toBe(2);
  });

  it('wrap around any number of times, whatever their length', () => {
    using rings = new Rings();
    const frame = new Uint8Array(65_535);
    let bytes = 0;
    for (let i = 0; bytes < 5 * RING_BYTES; i++) {
      const length = (i * 7919) % 65_536;
      frame.fill(i & 0xff, 0, length);
      rings.writer.write(frame, length, length, i);
      expect(rings.reader.next()).toBe(true);
      const { view, offset, length: read, tag } = rings.reader;
      expect([read, tag]).toEqual([length, i]);
      const found = new Uint8Array(view.buffer, offset, read);
      expect([found[0], found.at(-1)]).toEqual(length === 0 ? [undefined, undefined] : [i & 0xff, i & 0xff]);
      rings.reader.release();
      bytes += length;
    }
  });

  it('stay unchanged until they are released', () => {
    using rings = new Rings();
    const frame = new Uint8Array(60_000);
    const fitting = Math.floor(RING_BYTES / frame.length) - 1;
    for (let i = 0; i < fitting; i++) rings.writer.write(frame.fill(i), frame.length, frame.length, i);
    for (let i = 0; i < fitting; i++) {
      rings.reader.next();
      expect(rings.reader.view.getUint8(rings.reader.offset)).toBe(i);
    }
    expect(rings.reader.next()).toBe(false);
  });

  it('are waited for only if the ring is empty', () => {
    using rings = new Rings();
    expect(rings.reader.mayWait()).toBe(true);
    rings.writer.write(Uint8Array.of(1), 1, 1, 0);
    expect(rings.reader.mayWait()).toBe(false);
    rings.reader.next();
    expect(rings.reader.mayWait()).toBe(true);
  });
});
