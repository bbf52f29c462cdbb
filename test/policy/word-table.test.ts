import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hash1, hash2, hash4, hash5, hashWords } from '../../src/policy/hash.ts';
import { WordTable } from '../../src/policy/word-table.ts';

/** Few keys, so that what is set is deleted and set again. */
const operations = fc.array(
  fc.record({ key: fc.tuple(fc.integer({ min: -9, max: 9 }), fc.nat(2)), value: fc.nat(3) }),
  { maxLength: 300 },
);

describe('WordTable', () => {
  test('contains what a Map contains after any sets and deletes', () => {
    fc.assert(
      fc.property(operations, fc.integer(), (steps, seed) => {
        const table = new WordTable(seed, 2);
        const map = new Map<string, number>();
        for (const { key, value } of steps) {
          if (value === 0) {
            table.delete(key);
            map.delete(key.join());
          } else {
            table.set(key, value);
            map.set(key.join(), value);
          }
          if (value === 1) table.words();
        }
        expect(table.size).toBe(map.size);
        for (let a = -9; a <= 9; a++) {
          for (let b = 0; b <= 2; b++) expect(table.get([a, b])).toBe(map.get([a, b].join()) ?? 0);
        }
      }),
    );
  });

  test('is never more than half full, and shrinks when it is published', () => {
    const table = new WordTable(7, 1);
    for (let key = 0; key < 1000; key++) {
      table.set([key], 1);
      expect(table.words().length / 2).toBeGreaterThanOrEqual(2 * table.size);
    }
    for (let key = 0; key < 1000; key++) table.delete([key]);
    expect(table.words().length / 2).toBe(8);
  });

  test('changes its version when something changed', () => {
    const table = new WordTable(7, 1);
    const versions = [table.version];
    table.set([1], 1);
    versions.push(table.version);
    table.delete([1]);
    versions.push(table.version);
    expect(new Set(versions).size).toBe(3);
    table.delete([1]);
    expect(table.version).toBe(versions[2]);
  });
});

test('the unrolled hashes equal hashWords', () => {
  const words = [1, -2, 3, 0x7fffffff, -0x80000000];
  const [a, b, c, d, e] = words as [number, number, number, number, number];
  for (const seed of [0, 1, -1]) {
    expect(hash1(seed, a)).toBe(hashWords(seed, words, 0, 1));
    expect(hash2(seed, a, b)).toBe(hashWords(seed, words, 0, 2));
    expect(hash4(seed, a, b, c, d)).toBe(hashWords(seed, words, 0, 4));
    expect(hash5(seed, a, b, c, d, e)).toBe(hashWords(seed, words, 0, 5));
  }
});
