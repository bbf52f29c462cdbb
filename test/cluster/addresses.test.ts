import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalAddress, isMistake, isStrictlyInside, parseAddress, parseCidr } from '../../src/cluster/addresses.ts';

describe('canonicalAddress', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['FD00::0:1', 'fd00::1'],
    ['fd00:0:0:0:0:0:0:1', 'fd00::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['::', '::'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:0a00:0001', '10.0.0.1'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
    ['::10.0.0.1', '::a00:1'],
    ['010.0.0.1', '10.0.0.1'],
    ['10.0.0.010', '10.0.0.10'],
    ['10.000.0.00000000008', '10.0.0.8'],
    ['fd00::0000000001', 'fd00::1'],
    ['::ffff:010.0.0.08', '10.0.0.8'],
  ])('%s is %s', (text, expected) => {
    expect(canonicalAddress(text)).toBe(expected);
  });

  it.each([
    '',
    '10.1',
    '10',
    '0x0a.0.0.1',
    '010.0.0.1.',
    '010.0.0.0256',
    '10.0.0.256',
    '10.0.0.1.',
    ' 10.0.0.1',
    '10.0.0.1\n',
  ])('%o is no address', (text) => expect(canonicalAddress(text)).toBeUndefined());

  it.each([
    ':',
    ':::',
    '1::2::3',
    'fe80::1%eth0',
    '[::1]',
    '12345::',
    '1:2:3:4:5:6:7::8',
    '1:2:3:4:5:6:7:10.0.0.1',
    '::ffff:0x0a.0.0.1',
    '::ffff:1.2.3',
    '1:2:3:4:5:6:7:8:9',
    'fd00::1/64',
  ])('%o is no address', (text) => expect(canonicalAddress(text)).toBeUndefined());

  it('accepts what the platform accepts, and gives every spelling of an address the same text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const canonical = canonicalAddress(text);
        expect(canonical).toBeDefined();
        expect(isIP(canonical ?? '')).toBeGreaterThan(0);
        expect(canonicalAddress(text.toUpperCase())).toBe(canonical);
        expect(canonicalAddress(canonical ?? '')).toBe(canonical);
      }),
    );
  });

  it('refuses what the platform refuses, except leading zeros', () => {
    const text = fc.string({ unit: fc.constantFrom(...'019afx.:%/ '), maxLength: 24 });
    fc.assert(
      fc.property(text, (candidate) => {
        const plain = candidate.replaceAll(/(?<![\da-f])0+(?=[\da-f])/g, '');
        const taken = isIP(plain) !== 0 && !plain.includes('%');
        expect(parseAddress(candidate) !== undefined).toBe(taken);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('parseCidr', () => {
  it.each([
    ['10.0.0.0/8', 'IPv4', 0x0a000000n, 8],
    ['10.1.2.3/8', 'IPv4', 0x0a000000n, 8],
    ['0.0.0.0/0', 'IPv4', 0n, 0],
    ['10.1.2.3/32', 'IPv4', 0x0a010203n, 32],
    ['::/0', 'IPv6', 0n, 0],
    ['fd00::1/8', 'IPv6', 0xfdn << 120n, 8],
    ['10.0.0.010/32', 'IPv4', 0x0a00000an, 32],
    ['010.0.0.0/08', 'IPv4', 0x0a000000n, 8],
    ['10.0.0.0/000000024', 'IPv4', 0x0a000000n, 24],
    ['fd00::/08', 'IPv6', 0xfdn << 120n, 8],
    ['::ffff:10.0.0.0/104', 'IPv4', 0x0a000000n, 8],
    ['::ffff:10.0.0.010/128', 'IPv4', 0x0a00000an, 32],
    ['::ffff:0:0/96', 'IPv4', 0n, 0],
    ['::ffff:10.0.0.0/95', 'IPv6', 0xfffe_0000_0000n, 95],
  ])('%s', (text, family, first, prefix) => {
    expect(parseCidr(text)).toEqual({ family, first, prefix });
  });

  it.each([
    ['10.0.0.0/40', 'Did you mean 10.0.0.0/8?'],
    ['10.1.0.0/33', 'Did you mean 10.1.0.0/16?'],
    ['10.1.2.3/33', 'Did you mean 10.1.2.3/32?'],
    ['0.0.0.0/99', 'Did you mean 0.0.0.0/0?'],
    ['fd00::/129', 'Did you mean fd00::/16?'],
    ['10.0.0.0/255.255.0.0', 'Did you mean 10.0.0.0/16?'],
    ['10.0.0.0/033', 'Did you mean 10.0.0.0/8?'],
    ['10.0.0.0/', 'Did you mean 10.0.0.0/8?'],
    ['10.0.0.0/-1', 'Did you mean 10.0.0.0/8?'],
    ['10.0.0.1', 'Did you mean 10.0.0.1/32?'],
    ['fd00::1', 'Did you mean fd00::1/128?'],
    ['10.0.0/24', 'Did you mean 10.0.0.0/24?'],
    ['010.0.0/8', 'Did you mean 10.0.0.0/8?'],
    ['300.0.0.0/8', undefined],
    ['example.com', undefined],
    ['', undefined],
  ])('%s is a mistake; %s', (text, hint) => {
    const outcome = parseCidr(text);
    expect(isMistake(outcome) ? outcome.hint : 'no mistake').toBe(hint);
  });
});

describe('isStrictlyInside', () => {
  it.each([
    ['10.1.0.0/16', '10.0.0.0/8', true],
    ['10.0.0.0/8', '10.0.0.0/8', false],
    ['10.0.0.0/7', '10.0.0.0/8', false],
    ['11.0.0.0/16', '10.0.0.0/8', false],
    ['0.0.0.0/1', '0.0.0.0/0', true],
    ['::/1', '0.0.0.0/0', false],
    ['fd00:1::/32', 'fd00::/8', true],
  ])('%s in %s: %s', (inner, outer, expected) => {
    const [a, b] = [parseCidr(inner), parseCidr(outer)];
    if (isMistake(a) || isMistake(b)) throw new Error('the table has a mistake');
    expect(isStrictlyInside(a, b)).toBe(expected);
  });
});
