import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PolicyPort } from '../../src/cluster/records.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { PortNames } from '../../src/policy/port-names.ts';
import { PortSets } from '../../src/policy/port-set.ts';
import { ALL_PORTS, NO_PORTS } from '../../src/policy/table-layout.ts';
import { judgeSides } from './judge-sides.ts';
import { allow, ingressPolicy, NODE, pod, set, tcp } from './records.ts';

const udp = (port: number): PolicyPort => ({ protocol: 'UDP', port });
const EVERY_TCP: PolicyPort = { protocol: 'TCP' };
const EVERY_UDP: PolicyPort = { protocol: 'UDP' };
const EVERY_SCTP: PolicyPort = { protocol: 'SCTP' };

describe('equal port sets are one', () => {
  const cases: [what: string, a: PolicyPort[], b: PolicyPort[]][] = [
    ['in another order', [tcp(80), udp(53)], [udp(53), tcp(80)]],
    ['with a port twice', [tcp(80), tcp(80)], [tcp(80)]],
    ['as ranges that overlap', [tcp(80, 90), tcp(85, 99)], [tcp(80, 99)]],
    ['as ranges that touch', [tcp(80, 89), tcp(90, 99)], [tcp(80, 99)]],
    ['as ranges one in the other', [tcp(80, 99), tcp(85)], [tcp(80, 99)]],
    ['as a range of one port', [tcp(80, 80)], [tcp(80)]],
    ['with a port of a protocol that is open wholly', [EVERY_TCP, tcp(80)], [EVERY_TCP]],
    ['with a name twice', [tcp('web'), tcp('web')], [tcp('web')]],
    ['with the last ports', [tcp(65_534), tcp(65_535)], [tcp(65_534, 65_535)]],
  ];
  test.each(cases)('%s', (_, a, b) => {
    const sets = new PortSets(new PortNames());
    expect(sets.ofRule(a)).toBe(sets.ofRule(b));
  });
});

describe('different port sets are two', () => {
  const cases: [what: string, a: PolicyPort[], b: PolicyPort[]][] = [
    ['with a gap of one port', [tcp(80), tcp(82)], [tcp(80, 82)]],
    ['of another protocol', [tcp(80)], [udp(80)]],
    ['with a name of another protocol', [tcp('dns')], [{ protocol: 'UDP', port: 'dns' }]],
    ['with a name that looks like a number', [tcp(80)], [tcp('80')]],
    ['every port from 1 on, and every port', [tcp(1, 65_535)], [EVERY_TCP]],
  ];
  test.each(cases)('%s', (_, a, b) => {
    const sets = new PortSets(new PortNames());
    expect(sets.ofRule(a)).not.toBe(sets.ofRule(b));
  });

  test('nothing, every port of three protocols, and every port of every protocol', () => {
    const sets = new PortSets(new PortNames());
    expect(sets.ofRule([])).toBe(ALL_PORTS);
    expect(sets.ofRule([EVERY_TCP, EVERY_UDP, EVERY_SCTP])).toBeGreaterThan(ALL_PORTS);
  });
});

describe('a rule with invalid ports allows nothing', () => {
  test.each([tcp(70_000), tcp(-1), tcp(90, 80), tcp(1, 70_000)])('%o', (port) => {
    expect(new PortSets(new PortNames()).ofRule([port])).toBe(NO_PORTS);
  });
});

describe('union', () => {
  test('is what both allow', () => {
    const sets = new PortSets(new PortNames());
    const union = sets.union([sets.ofRule([tcp(80), tcp('web')]), sets.ofRule([tcp(81), udp(53)])]);
    expect(union).toBe(sets.ofRule([tcp(80, 81), udp(53), tcp('web')]));
  });

  test('of a thousand sets adds one set', () => {
    const sets = new PortSets(new PortNames());
    const odd = Array.from({ length: 1000 }, (_, i) => sets.ofRule([tcp(2 * i + 1)]));
    const size = sets.size;
    expect(sets.union(odd)).toBe(sets.union([...odd].reverse()));
    expect(sets.size).toBe(size + 1);
    expect(sets.union([])).toBe(NO_PORTS);
  });

  test('with nothing is the other, with everything is everything', () => {
    const sets = new PortSets(new PortNames());
    const web = sets.ofRule([tcp(80)]);
    expect(sets.union([web, NO_PORTS])).toBe(web);
    expect(sets.union([NO_PORTS, web])).toBe(web);
    expect(sets.union([web, ALL_PORTS])).toBe(ALL_PORTS);
  });
});

test('a set includes another if their union is itself', () => {
  const one = fc.record({ first: fc.integer({ min: 1, max: 12 }), more: fc.nat(3), kind: fc.nat(3) });
  const port = one.map(({ first, more, kind }) => [udp(first), tcp(`n${first % 3}`)][kind] ?? tcp(first, first + more));
  fc.assert(
    fc.property(fc.array(port, { maxLength: 6 }), fc.array(port, { maxLength: 3 }), (outer, inner) => {
      const sets = new PortSets(new PortNames());
      const numbers = [NO_PORTS, ALL_PORTS, sets.ofRule(outer), sets.ofRule(inner)];
      for (const all of numbers)
        for (const part of numbers) expect(sets.includes(all, part)).toBe(sets.union([all, part]) === all);
    }),
  );
});

test('swept sets are forgotten, and those in use keep their numbers', () => {
  const names = new PortNames();
  const sets = new PortSets(names);
  const kept = sets.ofRule([tcp(80), tcp('web')]);
  const gone = sets.ofRule([tcp(81), tcp('admin')]);
  sets.sweep(new Set([kept]));
  expect(sets.size).toBe(2);
  expect(sets.ofRule([tcp(80), tcp('web')])).toBe(kept);
  expect(sets.ofRule([tcp(443)])).toBe(gone);
});

test('names of profiles and sets that are gone make room for others', () => {
  const names = new PortNames();
  const ports = [{ name: 'web', port: 80, protocol: 'TCP' as const }];
  names.retainProfile(PortNames.profileKey(ports), ports);
  names.releaseProfile(PortNames.profileKey(ports));
  const sets = new PortSets(names);
  sets.ofRule([tcp('admin')]);
  sets.sweep(new Set());
  expect(names.retainName('UDP', 'dns')).toBe(0);
});

test('many ranges are searched like few ones', () => {
  const ends = fc.tuple(fc.nat(400), fc.nat(3)).map(([first, more]): [number, number] => [1 + first, 1 + first + more]);
  fc.assert(
    fc.property(fc.array(ends, { minLength: 1, maxLength: 60 }), (ranges) => {
      const compiler = new PolicyCompiler(NODE.name);
      const ports = ranges.map(([first, last]) => tcp(first, last));
      compiler.apply(set(pod('server', '10.0.0.1'), ingressPolicy('web', [allow([], ports)])));
      const { table } = compiler.compile();
      for (let port = 0; port < 410; port++) {
        const flow = { source: '192.0.2.1', destination: '10.0.0.1', protocol: 6, port };
        const open = ranges.some(([first, last]) => port >= first && port <= last);
        if (judgeSides(table, flow).ingress.allowed !== open)
          expect.fail(`port ${port} should be ${open ? 'open' : 'closed'}`);
      }
    }),
    { numRuns: 50 },
  );
});
