import { expect, test } from 'vitest';
import { halfSipHash, randomKey } from '../../src/conntrack/hash.ts';

test('the hash depends on every bit of every word and of the key', () => {
  const words = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
  const seen = new Set([halfSipHash(words, 10, 11, 12)]);
  for (let word = 0; word < words.length; word++) {
    for (let bit = 0; bit < 32; bit++) {
      const other = Int32Array.from(words);
      other[word] = (other[word] as number) ^ (1 << bit);
      seen.add(halfSipHash(other, 10, 11, 12));
    }
  }
  for (let bit = 0; bit < 32; bit++) {
    seen.add(halfSipHash(words, 10, 11 ^ (1 << bit), 12));
    seen.add(halfSipHash(words, 10, 11, 12 ^ (1 << bit)));
  }
  expect(seen.size).toBe(1 + 32 * 12);
});

test('random keys differ', () => {
  expect(randomKey().join()).not.toBe(randomKey().join());
});
