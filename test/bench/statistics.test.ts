import { describe, expect, test } from 'vitest';
import { row } from '../../bench/harness/result.ts';
import { cumulative, median, quantile, sorted } from '../../bench/harness/statistics.ts';

const HUNDRED = Array.from({ length: 100 }, (_, i) => 100 - i);

describe('a quantile', () => {
  test.each([
    [0, 1],
    [0.5, 50],
    [0.99, 99],
    [0.991, 100],
    [1, 100],
  ])('%d of 1 to 100 is %d, a value that was measured', (share, value) => {
    expect(quantile(sorted(HUNDRED), share)).toBe(value);
  });

  test('of no values is an error', () => {
    expect(() => median([])).toThrow('nothing was measured');
  });
});

test('a row has the median of its runs, their range, and the runs in order', () => {
  expect(row('x', 'ns', [9, 10, 2])).toEqual({
    name: 'x',
    unit: 'ns',
    value: 9,
    spread: { min: 2, max: 10, runs: [9, 10, 2] },
  });
});

describe('a cumulative distribution', () => {
  test('rises from the least to the most, and ends at 100 %', () => {
    const points = cumulative(HUNDRED);
    expect(points[0]).toEqual([1, 0]);
    expect(points.at(-1)).toEqual([100, 1]);
    expect(points).toEqual(points.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]));
  });

  test('stays short however many samples there are, and keeps the far end', () => {
    const points = cumulative(Array.from({ length: 100_000 }, (_, i) => i));
    expect(points.length).toBeLessThan(150);
    expect(points.filter(([, share]) => share > 0.999).length).toBeGreaterThan(10);
  });
});
