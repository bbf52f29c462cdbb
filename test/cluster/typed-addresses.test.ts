import { describe, expect, it } from 'vitest';
import { formatCidr, isMistake } from '../../src/cluster/addresses.ts';
import { canonicalTypedAddress, parseTypedCidr } from '../../src/cluster/typed-addresses.ts';

describe('an address that a person types', () => {
  it.each(['010.0.0.1', '10.0.0.01', '::ffff:010.0.0.1', '::ffff:10.0.0.01'])('%s is refused', (text) =>
    expect(canonicalTypedAddress(text)).toBeUndefined(),
  );

  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['fd00::01', 'fd00::1'],
    ['fd00:00ff::0', 'fd00:ff::'],
  ])('%s is %s', (text, expected) => expect(canonicalTypedAddress(text)).toBe(expected));
});

describe('a block that a person types', () => {
  it.each([
    ['010.0.0.0/8', 'Did you mean 10.0.0.0/8?'],
    ['10.0.0.010/32', 'Did you mean 10.0.0.10/32?'],
    ['10.0.0.0/08', 'Did you mean 10.0.0.0/8?'],
    ['fd00::/08', 'Did you mean fd00::/8?'],
  ])('%s is a mistake; %s', (text, hint) => {
    const outcome = parseTypedCidr(text);
    expect(isMistake(outcome) ? outcome.hint : 'no mistake').toBe(hint);
  });

  it.each(['10.0.0.0/8', '0.0.0.0/0', 'fd00::/8'])('%s is taken', (text) => {
    const outcome = parseTypedCidr(text);
    expect(isMistake(outcome) ? outcome.message : formatCidr(outcome)).toBe(text);
  });
});
