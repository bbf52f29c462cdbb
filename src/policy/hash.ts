/**
 * The hash of every table inside a RuleTable: `hash = mix(hash ^ word)` for each word of the key,
 * starting with the table's seed.
 *
 * `mix` is lowbias32 of Chris Wellons' hash prospector (https://nullprogram.com/blog/2018/07/31/):
 * two multiplications and three xor-shifts, a bijection whose avalanche is good enough to use its
 * low bits as an index. The seed is random in each process, so that whoever may write a
 * NetworkPolicy cannot choose CIDRs that fall into one bucket and make every packet slow.
 *
 * The functions for one to five words are written out because the packet path calls them;
 * `hashWords` returns the same for any number of words.
 */

function mix(word: number): number {
  let x = word ^ (word >>> 16);
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return x ^ (x >>> 16);
}

export function hash1(seed: number, a: number): number {
  return mix(seed ^ a);
}

export function hash2(seed: number, a: number, b: number): number {
  return mix(mix(seed ^ a) ^ b);
}

export function hash4(seed: number, a: number, b: number, c: number, d: number): number {
  return mix(mix(mix(mix(seed ^ a) ^ b) ^ c) ^ d);
}

export function hash5(seed: number, a: number, b: number, c: number, d: number, e: number): number {
  return mix(hash4(seed, a, b, c, d) ^ e);
}

/** Returns the hash of the `count` words that begin at `words[start]`. */
export function hashWords(seed: number, words: ArrayLike<number>, start: number, count: number): number {
  let hash = seed;
  for (let i = start; i < start + count; i++) hash = mix(hash ^ (words[i] as number));
  return hash;
}
