import { describe, expect, test } from 'vitest';
import { parseSet, restoreSet, setOf } from '../../../src/dataplane/steering/ipset.ts';

const SAVED = `create podfence-isolated-4 hash:ip family inet hashsize 1024 maxelem 4 bucketsize 12 initval 0x25fc9b74
add podfence-isolated-4 10.0.0.1
add podfence-isolated-4 10.0.0.2
create foreign hash:ip family inet hashsize 1024 maxelem 65536
add foreign 10.0.0.9
`;

describe('the set of isolated addresses', () => {
  test('is parsed from the output of ipset save', () => {
    expect(parseSet(SAVED, 'podfence-isolated-4')).toEqual({
      capacity: 4,
      addresses: new Set(['10.0.0.1', '10.0.0.2']),
    });
    expect(parseSet(SAVED, 'podfence-isolated-6')).toBeUndefined();
  });

  test('is created and filled if there is none', () => {
    expect(restoreSet(6, undefined, setOf(new Set(['fd00::1'])))).toBe(
      'create podfence-isolated-6 hash:ip family inet6 maxelem 65536\nadd podfence-isolated-6 fd00::1\n',
    );
  });

  test('is changed by its differences, additions first', () => {
    const present = parseSet(SAVED, 'podfence-isolated-4');
    expect(restoreSet(4, present, setOf(new Set(['10.0.0.2', '10.0.0.3']), present))).toBe(
      'add podfence-isolated-4 10.0.0.3\ndel podfence-isolated-4 10.0.0.1\n',
    );
    expect(restoreSet(4, present, setOf(new Set(['10.0.0.2', '10.0.0.1']), present))).toBe('');
  });

  test('that is too small, even for a moment, is swapped for a larger one', () => {
    const present = parseSet(SAVED, 'podfence-isolated-4');
    const wanted = setOf(new Set(['10.0.0.3', '10.0.0.4', '10.0.0.5']), present);
    expect(wanted.capacity).toBe(16);
    expect(restoreSet(4, present, wanted).split('\n')).toEqual([
      'create podfence-isolated-4-new hash:ip family inet maxelem 16',
      'flush podfence-isolated-4-new',
      'add podfence-isolated-4-new 10.0.0.3',
      'add podfence-isolated-4-new 10.0.0.4',
      'add podfence-isolated-4-new 10.0.0.5',
      'swap podfence-isolated-4-new podfence-isolated-4',
      'destroy podfence-isolated-4-new',
      '',
    ]);
  });
});
