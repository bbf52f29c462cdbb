import { describe, expect, it } from 'vitest';
import { didYouMean, editDistance, nearest } from '../../src/cluster/nearest.ts';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['', 'abc', 3],
    ['abc', '', 3],
    ['from', 'from', 0],
    ['form', 'from', 1],
    ['prot', 'port', 1],
    ['kitten', 'sitting', 3],
    ['a', 'b', 1],
  ])('of %o and %o is %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});

describe('nearest', () => {
  it.each([
    ['podSelectors', ['podSelector', 'namespaceSelector'], 'podSelector'],
    ['PODSELECTOR', ['podSelector', 'namespaceSelector'], 'podSelector'],
    ['selector', ['ingress', 'podSelector'], 'podSelector'],
    ['form', ['from', 'ports'], 'from'],
    ['in', ['In', 'NotIn', 'Exists'], 'In'],
    ['annotations', ['from', 'ports'], undefined],
    ['', ['a'], undefined],
    ['x'.repeat(100_000), ['x'.repeat(100_000)], undefined],
  ])('of %.20s among %o is %s', (text, candidates, expected) => {
    expect(nearest(text, candidates)).toBe(expected);
  });

  it('is phrased as a question', () => {
    expect(didYouMean('ingres', ['Ingress', 'Egress'])).toBe('Did you mean Ingress?');
    expect(didYouMean('nothing like it', ['Ingress'])).toBeUndefined();
  });
});
