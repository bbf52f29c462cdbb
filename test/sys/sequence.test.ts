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

  /** Work that says when it begins and ends, and ends when it is let. */
  function work(name: string) {
    const permit = Promise.withResolvers<void>();
    const run = async () => {
      said.push(`${name} begins`);
      await permit.promise;
      said.push(`${name} ends`);
    };
    return { run, end: permit.resolve, fail: permit.reject };
  }

  it('carries out one piece of work at a time, in the order in which it was asked for', async () => {
    const [a, b] = [work('a'), work('b')];
    const both = Promise.all([sequence.run(a.run), sequence.run(b.run)]);
    b.end();
    await Promise.resolve();
    a.end();
    await both;
    expect(said).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  });

  it('gives back what work gives back or throws, and goes on', async () => {
    const a = work('a');
    const failed = expect(sequence.run(a.run)).rejects.toThrow('no');
    const next = sequence.run(async () => 7);
    a.fail(new Error('no'));
    await failed;
    await expect(next).resolves.toBe(7);
  });

  it('ends with its last work, when what is under way is done, and begins nothing else', async () => {
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

  it('tells what is under way of the end, by its signal', async () => {
    const left = sequence.run(async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      signal.throwIfAborted();
    });
    const refused = expect(left).rejects.toBeInstanceOf(SequenceEnded);
    await Promise.resolve();
    await sequence.end(async () => undefined);
    await refused;
  });

  describe('of work for later', () => {
    beforeEach(() => {
      vi.useFakeTimers();
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    it('carries it out in turn', async () => {
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

    it('never begins it after the end, asked for before or by what was under way', async () => {
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
