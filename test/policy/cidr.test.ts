import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressText, addressWords, type Prefix, prefixWords } from '../../src/policy/address-words.ts';
import { type Block, prefixPorts } from '../../src/policy/cidr.ts';
import { PortNames } from '../../src/policy/port-names.ts';
import { PortSets } from '../../src/policy/port-set.ts';
import { ALL_PORTS, NO_PORTS } from '../../src/policy/table-layout.ts';
import { tcp } from './records.ts';

const portSets = new PortSets(new PortNames());
const NAMES = new Map([
  [NO_PORTS, 'none'],
  [ALL_PORTS, 'all'],
  [portSets.ofRule([tcp(1)]), '1'],
  [portSets.ofRule([tcp(2)]), '2'],
  [portSets.ofRule([tcp(1), tcp(2)]), '1+2'],
]);

/** Parses `10.0.0.0/8 -10.1.0.0/16: 1`. */
function block(text: string): Block {
  const [cidrs = '', ports] = text.split(': ');
  const [cidr, ...except] = cidrs.split(' -').map((each) => prefixWords(each) as Prefix);
  const [number] = [...NAMES].find(([, name]) => name === ports) ?? [];
  return { cidr: cidr as Prefix, except, ports: number as number };
}

function described(blocks: readonly Block[]): string[] {
  return prefixPorts(blocks, portSets).map(
    ({ address, length, ports }) => `${addressText(address)}/${length}: ${NAMES.get(ports)}`,
  );
}

describe('ipBlocks become prefixes', () => {
  const cases: [what: string, blocks: string[], prefixes: string[]][] = [
    ['a block', ['10.0.0.0/8: 1'], ['10.0.0.0/8: 1']],
    ['a block with a hole', ['10.0.0.0/8 -10.1.0.0/16: 1'], ['10.0.0.0/8: 1', '10.1.0.0/16: none']],
    ['host bits do not count', ['10.1.2.3/8: 1'], ['10.0.0.0/8: 1']],
    [
      'a block in the hole of another',
      ['10.0.0.0/8 -10.1.0.0/16: 1', '10.1.2.0/24: 2'],
      ['10.0.0.0/8: 1', '10.1.0.0/16: none', '10.1.2.0/24: 2'],
    ],
    ['a hole that another block covers', ['10.0.0.0/8 -10.1.0.0/16: 1', '10.0.0.0/9: 1'], ['10.0.0.0/8: 1']],
    [
      'a hole that another block covers with other ports',
      ['10.0.0.0/8 -10.1.0.0/16: 1', '0.0.0.0/0: 2'],
      ['0.0.0.0/0: 2', '10.0.0.0/8: 1+2', '10.1.0.0/16: 2'],
    ],
    ['what follows a hole is open again', ['0.0.0.0/0 -0.0.0.0/1: 1'], ['0.0.0.0/0: 1', '0.0.0.0/1: none']],
    ['a hole in a hole', ['10.0.0.0/8 -10.1.0.0/16 -10.1.1.0/24: 1'], ['10.0.0.0/8: 1', '10.1.0.0/16: none']],
    ['a hole as large as its block', ['10.0.0.0/8 -10.0.0.0/8: 1'], []],
    ['a hole larger than its block', ['10.0.0.0/8 -0.0.0.0/0: 1'], []],
    ['a hole beside its block', ['10.0.0.0/8 -11.0.0.0/8: 1'], ['10.0.0.0/8: 1']],
    ['a block in itself', ['10.0.0.0/8: 1', '10.1.0.0/16: 1'], ['10.0.0.0/8: 1']],
    ['every port', ['10.0.0.0/8: all', '10.1.0.0/16: 1'], ['10.0.0.0/8: all']],
    ['both families', ['0.0.0.0/0: 1', '::/0 -fd00::/8: 2'], ['0.0.0.0/0: 1', '::/0: 2', 'fd00::/8: none']],
  ];
  test.each(cases)('%s', (_, blocks, prefixes) => {
    expect(described(blocks.map(block))).toEqual(prefixes);
  });

  test('a thousand blocks of all addresses, each with its own hole and port, keep a port set for each hole', () => {
    const sets = new PortSets(new PortNames());
    const whole = prefixWords('0.0.0.0/0') as Prefix;
    const blocks = Array.from({ length: 1000 }, (_, i) => ({
      cidr: whole,
      except: [prefixWords(`11.${i >> 8}.${i & 255}.0/24`) as Prefix],
      ports: sets.ofRule([tcp(2 * i + 1)]),
    }));
    expect(prefixPorts(blocks, sets)).toHaveLength(1001);
    expect(sets.size).toBeLessThan(2010);
  });

  test('ten thousand blocks with holes become one prefix each', () => {
    const blocks = Array.from({ length: 10_000 }, (_, i) =>
      block(`10.${i >> 8}.${i & 255}.0/24 -10.${i >> 8}.${i & 255}.128/25: 1`),
    );
    expect(prefixPorts(blocks, portSets)).toHaveLength(20_000);
  });
});

describe('the longest prefix has the ports of all blocks', () => {
  /**
   * Four random bits somewhere in the address, and the prefix ends among them, so that prefixes of
   * all lengths overlap.
   */
  const prefix = (bits: 32 | 128): fc.Arbitrary<Prefix> =>
    fc.tuple(fc.bigInt({ min: 0n, max: 15n }), fc.nat(4), fc.nat(bits - 4)).map(([pattern, more, start]) => {
      const length = start + more;
      const hostBits = BigInt(bits - length);
      const value = ((pattern << BigInt(bits - start - 4)) >> hostBits) << hostBits;
      return { address: words(value, bits), length };
    });
  const words = (value: bigint, bits: number) =>
    Array.from({ length: bits / 32 }, (_, i) => Number(BigInt.asIntN(32, value >> BigInt(bits - 32 * (i + 1)))));
  const integer = (address: readonly number[]) => address.reduce((all, each) => (all << 32n) | BigInt(each >>> 0), 0n);
  const holds = (outer: Prefix, address: bigint, bits: number) =>
    integer(outer.address) >> BigInt(bits - outer.length) === address >> BigInt(bits - outer.length);

  test.each([32, 128] as const)('of %i bits', (bits) => {
    const blocks = fc.array(
      fc.record({
        cidr: prefix(bits),
        except: fc.array(prefix(bits), { maxLength: 3 }),
        ports: fc.constantFrom(...NAMES.keys()),
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(blocks, (blocks) => {
        const prefixes = prefixPorts(blocks, portSets);
        for (const { address } of blocks.flatMap(({ cidr, except }) => [cidr, ...except])) {
          for (const offset of [-1n, 0n, 1n]) {
            const at = BigInt.asUintN(bits, integer(address) + offset);
            const longest = prefixes.filter((each) => holds(each, at, bits)).sort((a, b) => b.length - a.length)[0];
            const all = blocks
              .filter(({ cidr, except }) => holds(cidr, at, bits) && !except.some((hole) => holds(hole, at, bits)))
              .map(({ ports }) => ports);
            expect(longest?.ports ?? NO_PORTS).toBe(portSets.union(all));
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('addresses in text', () => {
  test.each([
    ['0.0.0.0', [0]],
    ['10.0.0.1', [0x0a000001]],
    ['255.255.255.255', [-1]],
    ['::', [0, 0, 0, 0]],
    ['fd00::1', [0xfd000000 | 0, 0, 0, 1]],
    ['::ffff:10.0.0.1', [0x0a000001]],
    // As the API server reads them: decimal, not octal.
    ['010.0.0.1', [0x0a000001]],
    ['10.0.0.010', [0x0a00000a]],
  ])('%s is read', (text, words) => {
    expect(addressWords(text)).toEqual(words);
  });

  test.each([
    '',
    '10.0.0',
    '10.0.0.256',
    '10.0.0.0.1',
    '10..0.1',
    '10.0.0.',
    '.10.0.0.1',
    ' 10.0.0.1',
    '1e1.0.0.1',
    'fd00::1%eth0',
    'fd00:::1',
    '10.0.0.1/8',
  ])('%j is no address', (text) => {
    expect(addressWords(text)).toBeUndefined();
  });

  test.each(['0.0.0.0', '10.0.0.1', '255.1.2.3', '::', 'fd00::1', '2001:db8::ffff:0:1'])(
    '%s is written as it is read',
    (text) => {
      expect(addressText(addressWords(text) ?? [])).toBe(text);
    },
  );
});

describe('CIDR blocks in text', () => {
  test.each([
    ['0.0.0.0/0', [0], 0],
    ['255.255.255.255/0', [0], 0],
    ['255.255.255.255/1', [-0x80000000], 1],
    ['10.1.2.3/8', [0x0a000000], 8],
    ['10.0.0.010/032', [0x0a00000a], 32],
    ['10.1.2.3/32', [0x0a010203], 32],
    ['fd00:1::1/16', [0xfd000000 | 0, 0, 0, 0], 16],
  ])('%s is read', (text, address, length) => {
    expect(prefixWords(text)).toEqual({ address, length });
  });

  test.each([
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8.5',
    '10.0.0.0/ 8',
    '10.0.0.0/1e1',
    '10.0.0/8',
    'fd00::/129',
  ])('%j is no block', (text) => {
    expect(prefixWords(text)).toBeUndefined();
  });
});
