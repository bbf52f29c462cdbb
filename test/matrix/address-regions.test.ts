import { describe, expect, test } from 'vitest';
import { type Cidr, parseAddress, parseCidr } from '../../src/cluster/addresses.ts';
import { AddressRegions, wholeFamily } from '../../src/matrix/address-regions.ts';
import { allow, ingressPolicy } from '../policy/records.ts';

function regions(...blocks: readonly (readonly [cidr: string, ...except: string[]])[]): AddressRegions {
  const peers = blocks.map(([cidr, ...except]) => ({ ipBlock: { cidr, except } }));
  return new AddressRegions([ingressPolicy('blocks', [allow(peers)])]);
}

function keyOf(each: AddressRegions, text: string): string {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(text);
  return each.key(address);
}

const found = (each: AddressRegions, area: Cidr, taken: readonly string[] = []) =>
  each.regionsIn(area, new Set(taken)).map(({ innermost, address }) => `${innermost}: ${address}`);

describe('addresses', () => {
  const each = regions(['10.0.0.0/8', '10.1.0.0/16'], ['0.0.0.0/0'], ['fd00::/8']);

  test('have different keys if one is in a block and the other is not', () => {
    expect(keyOf(each, '10.0.0.1')).toBe(keyOf(each, '10.255.0.1'));
    expect(keyOf(each, '10.0.0.1')).not.toBe(keyOf(each, '11.0.0.1'));
    expect(keyOf(each, 'fd00::1')).not.toBe(keyOf(each, 'fe00::1'));
  });

  test('have different keys if one is in an except', () => {
    expect(keyOf(each, '10.1.0.1')).not.toBe(keyOf(each, '10.0.0.1'));
  });
});

describe('the regions of an area', () => {
  test('are all that blocks cut out of it, each with one address', () => {
    const each = regions(['10.0.0.0/8', '10.1.0.0/16'], ['10.1.2.0/24']);
    expect(found(each, wholeFamily('IPv4'))).toEqual([
      'undefined: 192.0.2.1',
      '10.0.0.0/8: 10.0.0.1',
      '10.1.0.0/16: 10.1.0.1',
      '10.1.2.0/24: 10.1.2.1',
    ]);
  });

  test('are only those inside it', () => {
    const each = regions(['10.0.0.0/8', '10.1.0.0/16'], ['192.0.2.0/24']);
    const area = parseCidr('10.1.0.0/16') as Cidr;
    expect(found(each, area)).toEqual(['10.1.0.0/16: 10.1.0.1']);
  });

  test('avoid the addresses of pods, as long as there is another', () => {
    const each = regions(['10.0.0.0/30']);
    const area = parseCidr('10.0.0.0/30') as Cidr;
    expect(found(each, area, ['10.0.0.1', '10.0.0.2', '10.0.0.3'])).toEqual(['10.0.0.0/30: 10.0.0.0']);
    expect(found(each, area, ['10.0.0.0', '10.0.0.1', '10.0.0.2', '10.0.0.3'])).toEqual([]);
  });

  test('have another address than the usual one if a pod has that', () => {
    expect(found(regions(['10.0.0.0/8']), wholeFamily('IPv4'), ['192.0.2.1'])[0]).toBe('undefined: 198.51.100.1');
  });

  test('continue behind the end of a block', () => {
    const each = regions(['10.0.0.0/24'], ['10.0.0.0/25']);
    expect(found(each, parseCidr('10.0.0.0/24') as Cidr)).toEqual(['10.0.0.0/25: 10.0.0.1', '10.0.0.0/24: 10.0.0.129']);
  });

  test('for a block of a single address have that address', () => {
    const each = regions(['0.0.0.0/0', '169.254.169.254/32']);
    expect(found(each, wholeFamily('IPv4'))).toContain('169.254.169.254/32: 169.254.169.254');
  });
});
