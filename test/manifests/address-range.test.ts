import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/cluster/addresses.ts';
import { AddressRange, fnv1a, ManifestOptionError, rangesFor } from '../../src/manifests/address-range.ts';

function reserve(range: AddressRange, text: string) {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(text);
  range.reserve(address);
}

describe('AddressRange', () => {
  it('gives a name the same address, whatever other names come', () => {
    const alone = new AddressRange('10.244.0.0/16').take('shop/web-1');
    const range = new AddressRange('10.244.0.0/16');
    for (let index = 0; index < 20; index++) range.take(`other/pod-${index}`);
    expect(range.take('shop/web-1')).toBe(alone);
    expect(alone).toMatch(/^10\.244\./);
  });

  it('gives every address except network, router and broadcast, each once, and then none', () => {
    const range = new AddressRange('10.0.0.0/29');
    const addresses = Array.from({ length: 5 }, (_, index) => range.take(`a/${index}`));
    expect(addresses.sort()).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
    expect(range.take('a/6')).toBeUndefined();
  });

  it('does not give reserved addresses', () => {
    const range = new AddressRange('10.0.0.0/29');
    for (const text of ['10.0.0.2', '10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.0.7', '10.9.9.9', '::a00:3'])
      reserve(range, text);
    expect(range.take('a/b')).toBe('10.0.0.3');
    expect(range.take('a/c')).toBeUndefined();
  });

  it('gives IPv6 addresses', () => {
    expect(new AddressRange('fd00:10:244::/64').take('shop/web-1')).toMatch(/^fd00:10:244::[0-9a-f:]+$/);
  });

  it.each(['10.0.0.0/31', '10.0.0.0/40', 'pods', '10.0.0.0'])('%s is no range', (cidr) => {
    expect(() => new AddressRange(cidr)).toThrow(ManifestOptionError);
  });
});

describe('rangesFor', () => {
  const defaults = { IPv4: '10.244.0.0/16', IPv6: 'fd00::/64' };

  it('uses the given range of each family, else the default', () => {
    const ranges = rangesFor(['IPv6', 'IPv4'], ['192.168.0.0/24'], defaults);
    expect([...ranges.keys()]).toEqual(['IPv6', 'IPv4']);
    expect(ranges.get('IPv4')?.take('a')).toMatch(/^192\.168\.0\./);
    expect(ranges.get('IPv6')?.take('a')).toMatch(/^fd00::/);
  });

  it('has no range for a family that the cluster does not use', () => {
    expect([...rangesFor(['IPv4'], ['fd01::/64'], defaults).keys()]).toEqual(['IPv4']);
  });
});

it('fnv1a returns the published values', () => {
  expect(fnv1a('')).toBe(0x811c9dc5);
  expect(fnv1a('a')).toBe(0xe40c292c);
  expect(fnv1a('foobar')).toBe(0xbf9cf968);
});
