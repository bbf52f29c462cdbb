import { expect, test } from 'vitest';
import { TokenBucket } from '../../src/sys/token-bucket.ts';

function taken(bucket: TokenBucket, now: number, tries = 100): number {
  return Array.from({ length: tries }, () => bucket.take(now)).filter(Boolean).length;
}

test('a token bucket allows a burst at once, a rate in the long run, and no more after a pause', () => {
  const bucket = new TokenBucket(10, 5);
  expect(taken(bucket, 1000)).toBe(5);
  expect(taken(bucket, 1050)).toBe(0);
  expect(taken(bucket, 1100)).toBe(1);
  expect(taken(bucket, 9e9)).toBe(5);
});

test('a clock that goes back neither adds nor removes tokens', () => {
  const bucket = new TokenBucket(10, 5);
  expect(taken(bucket, 1000)).toBe(5);
  expect(taken(bucket, 500)).toBe(0);
  expect(taken(bucket, 600)).toBe(1);
});
