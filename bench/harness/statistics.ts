/** Medians, quantiles and cumulative distributions. */

/** @throws RangeError if there are no values */
export function median(values: readonly number[]): number {
  return quantile(sorted(values), 0.5);
}

export function rangeOf(values: readonly number[]): [least: number, most: number] {
  return [Math.min(...values), Math.max(...values)];
}

export function sorted(values: Iterable<number>): Float64Array {
  return Float64Array.from(values).sort();
}

/**
 * Returns the smallest value that at least a `share` of all values do not exceed (nearest rank), so
 * that it is always a measured one.
 * @param ascending sorted values
 * @param share 0 to 1
 * @throws RangeError if there are no values
 */
export function quantile(ascending: ArrayLike<number>, share: number): number {
  if (ascending.length === 0) throw new RangeError('nothing was measured');
  const rank = Math.ceil(share * ascending.length - 1e-9);
  return ascending[Math.min(ascending.length, Math.max(1, rank)) - 1] as number;
}

/**
 * Shares at which a cumulative distribution is kept: evenly spaced at first, then nine more for
 * each further nine.
 */
const SHARES = [
  ...Array.from({ length: 99 }, (_, i) => i / 100),
  ...[0.99, 0.999, 0.9999, 0.99999].flatMap((from, digit) =>
    Array.from({ length: 9 }, (_, i) => from + (i * 0.1) / 10 ** (digit + 2)),
  ),
];

/**
 * Returns the points [value, share of the samples not above it] of a cumulative plot: about a
 * hundred, however many samples there are.
 */
export function cumulative(samples: Iterable<number>): [value: number, share: number][] {
  const ascending = sorted(samples);
  const points = SHARES.filter((share) => (1 - share) * ascending.length >= 1).map((share): [number, number] => [
    quantile(ascending, share),
    Number(share.toFixed(7)),
  ]);
  return [...points, [quantile(ascending, 1), 1]];
}
