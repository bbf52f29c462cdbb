import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Sequence, SequenceEnded } from '../../src/sys/sequence.ts';
import { eventually } from '../patience.ts';

describe('a sequence', () => {
  let said: string[];
  let sequence: Sequence;
  beforeEach(() => {
    said = [];
    sequence = new Sequence();
  });

  /** Work that records when it begins and ends, and ends on demand. */
  function work(name: string) {
    const permit = Promise.withResolvers<void>();
    const run = async () => {
      said.push(`${name} begins`);
      await permit.promise;
      said.push(`${name} ends`);
    };
    return { run, end: permit.resolve, fail: permit.reject };
  }

  it('runs one piece of work at a time, in order', async () => {
    const [a, b] = [work('a'), work('b')];
    const both = Promise.all([sequence.run(a.run), sequence.run(b.run)]);
    b.end();
    await Promise.resolve();
    a.end();
    await both;
    expect(said).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  });

  it('returns or throws what the work does, and goes on', async () => {
    const a = work('a');
    const failed = expect(sequence.run(a.run)).rejects.toThrow('no');
    const next = sequence.run(async () => 7);
    a.fail(new Error('no'));
    await failed;
    await expect(next).resolves.toBe(7);
  });

  it('ends with its last work after the current one, and begins nothing else', async () => {
    const [a, b, last] = [work('a'), work('b'), work('last')];
    const first = sequence.run(a.run);
    const refused = expect(sequence.run(b.run)).rejects.toBeInstanceOf(SequenceEnded);
    await eventually(() => expect(said).toEqual(['a begins']));
    const end = sequence.end(last.run);
    const late = expect(sequence.run(b.run)).rejects.toBeInstanceOf(SequenceEnded);
    last.end();
    a.end();
    await Promise.all([first, refused, late, end, sequence.end(b.run)]);
    expect(said).toEqual(['a begins', 'a ends', 'last begins', 'last ends']);
  });

  it('signals its end to the work in progress', async () => {
    const left = sequence.run(async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      signal.throwIfAborted();
    });
    const refused = expect(left).rejects.toBeInstanceOf(SequenceEnded);
    await Promise.resolve();
    await sequence.end(async () => undefined);
    await refused;
  });

  describe('for delayed work', () => {
    beforeEach(() => {
      vi.useFakeTimers();
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    it('runs it in turn', async () => {
      const [a, b] = [work('a'), work('b')];
      sequence.after(100, b.run);
      const first = sequence.run(a.run);
      await vi.advanceTimersByTimeAsync(100);
      expect(said).toEqual(['a begins']);
      a.end();
      b.end();
      await first;
      await sequence.run(async () => undefined);
      expect(said).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
    });

    it('never begins it after the end, whether it was added before or by the last work in progress', async () => {
      const [a, late] = [work('a'), work('late')];
      sequence.after(100, late.run);
      const first = sequence.run(async () => {
        await a.run();
        sequence.after(100, late.run);
      });
      await vi.advanceTimersByTimeAsync(50);
      const end = sequence.end(async () => undefined);
      a.end();
      await Promise.all([first, end]);
      await vi.runAllTimersAsync();
      expect(said).toEqual(['a begins', 'a ends']);
      expect(vi.getTimerCount()).toBe(0);
    });
  });
});
