import { describe, expect, test } from 'vitest';
import { canonicalAddresses, DEFAULT_MARK, validateState } from '../../../src/dataplane/steering/state.ts';
import { STATE } from './kinds.ts';

describe('a steering state', () => {
  test.each([
    { mark: { judged: 1, reject: 2, mask: 3 } },
    { mark: { judged: 0x80000000, reject: 1, mask: 0xffffffff } },
    { queues: { first: 65535, count: 1 } },
    { queues: { first: 0, count: 65536 } },
  ])('with %o is valid', (part) => {
    expect(() => validateState({ ...STATE, ...part })).not.toThrow();
  });

  test.each([
    ['two judged bits', { mark: { judged: 3, reject: 4, mask: 7 } }],
    ['no reject bit', { mark: { judged: 1, reject: 0, mask: 3 } }],
    ['one bit for both', { mark: { judged: 1, reject: 1, mask: 1 } }],
    ['a bit outside of the mask', { mark: { judged: 1, reject: 2, mask: 1 } }],
    ['a bit above 32', { mark: { judged: 2 ** 32, reject: 1, mask: 2 ** 32 + 1 } }],
    ['a negative mark', { mark: { judged: 1, reject: 2, mask: -1 } }],
    ['no queue', { queues: { first: 0, count: 0 } }],
    ['a queue number above 65535', { queues: { first: 65535, count: 2 } }],
    ['half a queue', { queues: { first: 0.5, count: 1 } }],
  ])('with %s is refused', (_, part) => {
    expect(() => validateState({ ...STATE, ...part })).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }));
  });

  test('has its default bits within their mask', () => {
    expect(() => validateState({ ...STATE, mark: DEFAULT_MARK })).not.toThrow();
  });
});

describe('addresses', () => {
  test('are spelled as the kernel’s tools spell them, each once', () => {
    const spellings = ['FD00:0:0:0::1', 'fd00::1', '2001:db8:0:1:0:0:0:1', '::ffff:10.0.0.1'];
    expect([...canonicalAddresses(6, spellings)]).toEqual(['fd00::1', '2001:db8:0:1::1', '::ffff:10.0.0.1']);
    expect([...canonicalAddresses(4, ['10.0.0.1', '10.0.0.1'])]).toEqual(['10.0.0.1']);
  });

  test.each([
    [4, 'fd00::1'],
    [6, '10.0.0.1'],
    [4, '10.0.0.0/24'],
    [4, '10.0.0.1\nflush podfence-steered-4'],
    [6, 'fe80::1%eth0'],
    [4, ''],
  ] as const)('of IPv%i: %j is refused', (family, address) => {
    expect(() => canonicalAddresses(family, [address])).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }));
  });
});
