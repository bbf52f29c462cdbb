import { describe, expect, test } from 'vitest';
import { parseSet, restoreSet, setOf } from '../../../src/dataplane/steering/ipset.ts';

const SAVED = `create podfence-steered-4 hash:ip family inet hashsize 1024 maxelem 4 bucketsize 12 initval 0x25fc9b74
add podfence-steered-4 10.0.0.1
add podfence-steered-4 10.0.0.2
create foreign hash:ip family inet hashsize 1024 maxelem 65536
add foreign 10.0.0.9
`;

describe('the set of isolated addresses', () => {
  test('is read from what ipset saves', () => {
    expect(parseSet(SAVED, 'podfence-steered-4')).toEqual({
      capacity: 4,
      addresses: new Set(['10.0.0.1', '10.0.0.2']),
    });
    expect(parseSet(SAVED, 'podfence-steered-6')).toBeUndefined();
  });

  test('is created and filled if there is none', () => {
    expect(restoreSet(6, undefined, setOf(new Set(['fd00::1'])))).toBe(
      'create podfence-steered-6 hash:ip family inet6 maxelem 65536\nadd podfence-steered-6 fd00::1\n',
    );
  });

  test('is changed by differences, the new before the old', () => {
    const present = parseSet(SAVED, 'podfence-steered-4');
    expect(restoreSet(4, present, setOf(new Set(['10.0.0.2', '10.0.0.3']), present))).toBe(
      'add podfence-steered-4 10.0.0.3\ndel podfence-steered-4 10.0.0.1\n',
    );
    expect(restoreSet(4, present, setOf(new Set(['10.0.0.2', '10.0.0.1']), present))).toBe('');
  });

  test('that is outgrown, even for a moment, is swapped for a larger one', () => {
    const present = parseSet(SAVED, 'podfence-steered-4');
    const wanted = setOf(new Set(['10.0.0.3', '10.0.0.4', '10.0.0.5']), present);
    expect(wanted.capacity).toBe(16);
    expect(restoreSet(4, present, wanted).split('\n')).toEqual([
      'create podfence-steered-4-new hash:ip family inet maxelem 16',
      'flush podfence-steered-4-new',
      'add podfence-steered-4-new 10.0.0.3',
      'add podfence-steered-4-new 10.0.0.4',
      'add podfence-steered-4-new 10.0.0.5',
      'swap podfence-steered-4-new podfence-steered-4',
      'destroy podfence-steered-4-new',
      '',
    ]);
  });
});
