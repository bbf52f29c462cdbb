import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { paced } from '../../src/telemetry/paced.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a paced function', () => {
  it('returns one answer to simultaneous calls', async () => {
    const produce = vi.fn(async () => produce.mock.calls.length);
    const ask = paced(produce, 100);
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([1, 1, 1]);
  });

  it('makes a call within the interval wait for its end, and then computes a new answer', async () => {
    const produce = vi.fn(async () => produce.mock.calls.length);
    const ask = paced(produce, 100);
    await ask();
    const later = Promise.all([ask(), ask()]);
    await vi.advanceTimersByTimeAsync(99);
    expect(produce).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await later).toEqual([2, 2]);
  });

  it('does not return an answer that was begun before the call', async () => {
    const first = Promise.withResolvers<string>();
    const produce = vi.fn().mockReturnValueOnce(first.promise).mockResolvedValueOnce('new');
    const ask = paced(produce, 100);
    const early = ask();
    await vi.advanceTimersByTimeAsync(500);
    const late = ask();
    first.resolve('old');
    expect([await early, await late]).toEqual(['old', 'new']);
  });

  it('goes on after a failure', async () => {
    const produce = vi.fn().mockRejectedValueOnce(new Error('once')).mockResolvedValueOnce('well');
    const ask = paced(produce, 100);
    await expect(ask()).rejects.toThrow('once');
    const next = ask();
    await vi.advanceTimersByTimeAsync(100);
    expect(await next).toBe('well');
  });
});
