import { describe, expect, test } from 'vitest';
import { FlowKey } from '../../src/conntrack/flow-key.ts';
import { EVICTED, EXPIRED, FlowTable, MAX_CAPACITY, MOVE_INTERVAL } from '../../src/conntrack/flow-table.ts';
import { NO_SLOT, type Slot } from '../../src/conntrack/slots.ts';
import * as states from '../../src/conntrack/states.ts';
import { DEFAULT_TIMEOUTS } from '../../src/conntrack/timeouts.ts';
import { decode } from '../../src/packet/decode.ts';
import { Packet } from '../../src/packet/packet.ts';
import * as b from '../packet/build.ts';
import { problems } from './inspect.ts';
import { keyOf } from './key-of.ts';

const SEED = [1, 2] as const;

function packet(bytes: Uint8Array): Packet {
  const decoded = new Packet();
  decode(decoded, b.viewOf(bytes), 0, bytes.length);
  return decoded;
}

/** A UDP packet of the nth flow. */
const nth = (n: number): Packet => packet(b.ip(`10.0.${n >> 8}.${n & 255}`, '10.9.9.9', b.udp(1000, 53)));

function insert(table: FlowTable, flow: Packet, now: number, state = states.openingState(flow.protocol)): Slot {
  const key = keyOf(table, flow);
  expect(table.find(key, now)).toBe(NO_SLOT);
  return table.insert(key, states.OPENER, state, 1, 0, now);
}

describe('a flow is found', () => {
  test.each<[string, Uint8Array, Uint8Array]>([
    ['TCP', b.ip('10.0.0.1', '10.0.0.2', b.tcp(1000, 80)), b.ip('10.0.0.2', '10.0.0.1', b.tcp(80, 1000))],
    [
      'TCP from the higher address',
      b.ip('10.0.0.2', '10.0.0.1', b.tcp(1000, 80)),
      b.ip('10.0.0.1', '10.0.0.2', b.tcp(80, 1000)),
    ],
    [
      'between ports of one address',
      b.ip('10.0.0.1', '10.0.0.1', b.udp(1000, 80)),
      b.ip('10.0.0.1', '10.0.0.1', b.udp(80, 1000)),
    ],
    ['an echo', b.ip('10.0.0.1', '10.0.0.2', b.echoRequest(5)), b.ip('10.0.0.2', '10.0.0.1', b.echoReply(5))],
    ['IPv6', b.ip('fd00::1', 'fd00::2', b.udp(1000, 80)), b.ip('fd00::2', 'fd00::1', b.udp(80, 1000))],
    [
      'IPv6 addresses that differ in the first word',
      b.ip('fd02::1', 'fd01::1', b.udp(9, 9)),
      b.ip('fd01::1', 'fd02::1', b.udp(9, 9)),
    ],
    ['an IPv6 echo', b.ip('fd00::1', 'fd00::2', b.echoRequest(5)), b.ip('fd00::2', 'fd00::1', b.echoReply(5))],
    ['a protocol without ports', b.ip('10.0.0.1', '10.0.0.2', b.raw(47)), b.ip('10.0.0.2', '10.0.0.1', b.raw(47))],
  ])('in both directions, and its opener is known: %s', (_, there, back) => {
    const table = new FlowTable(4, {}, SEED);
    const slot = insert(table, packet(there), 0);
    const [sent, answered] = [keyOf(table, packet(there)), keyOf(table, packet(back))];
    expect([table.find(sent, 0), table.sideOf(slot, sent)]).toEqual([slot, states.OPENER]);
    expect([table.find(answered, 0), table.sideOf(slot, answered)]).toEqual([slot, states.OTHER]);
  });

  test('by the side that did not open it, if that side was named the opener', () => {
    const table = new FlowTable(4, {}, SEED);
    const there = keyOf(table, packet(b.ip('10.0.0.1', '10.0.0.2', b.tcp(1000, 80))));
    const slot = table.insert(there, states.OTHER, states.TCP_ESTABLISHED, 1, 0, 0);
    expect([table.find(there, 0), table.sideOf(slot, there)]).toEqual([slot, states.OTHER]);
    const opening = new Packet();
    table.readOpening(slot, opening);
    expect(opening).toMatchObject({
      src0: b.word('10.0.0.2'),
      srcPort: 80,
      dst0: b.word('10.0.0.1'),
      dstPort: 1000,
      protocol: 6,
      family: 4,
    });
  });
});

describe('a flow is not found', () => {
  const known = b.ip('10.0.0.1', '10.0.0.2', b.udp(1000, 80));
  const known6 = b.ip('fd00::1', 'fd00::2', b.udp(1000, 80));
  const echo = b.ip('10.0.0.1', '10.0.0.2', b.echoRequest(8));
  test.each<[string, Uint8Array, Uint8Array]>([
    ['with another source', known, b.ip('10.0.0.3', '10.0.0.2', b.udp(1000, 80))],
    ['with another destination', known, b.ip('10.0.0.1', '10.0.0.3', b.udp(1000, 80))],
    ['with another port', known, b.ip('10.0.0.1', '10.0.0.2', b.udp(1001, 80))],
    ['with the ports exchanged', known, b.ip('10.0.0.1', '10.0.0.2', b.udp(80, 1000))],
    ['of another protocol', known, b.ip('10.0.0.1', '10.0.0.2', b.tcp(1000, 80))],
    ['with another first word of an IPv6 address', known6, b.ip('fd01::1', 'fd00::2', b.udp(1000, 80))],
    ['with another third word of an IPv6 address', known6, b.ip('fd00::1', 'fd00::1:0:2', b.udp(1000, 80))],
    ['that the other side asks with the same identifier', echo, b.ip('10.0.0.2', '10.0.0.1', b.echoRequest(8))],
    ['that asks for something else', echo, b.ip('10.0.0.1', '10.0.0.2', b.icmp(13, 0, 8))],
    ['by the opener as its own answer', echo, b.ip('10.0.0.1', '10.0.0.2', b.echoReply(8))],
  ])('%s', (_, flow, other) => {
    const table = new FlowTable(4, {}, SEED);
    insert(table, packet(flow), 0);
    expect(table.find(keyOf(table, packet(other)), 0)).toBe(NO_SLOT);
  });

  test('for a message that is neither a request nor a reply: it has no key', () => {
    const redirect = packet(b.ip('10.0.0.1', '10.0.0.2', b.icmp(5, 0, 8)));
    expect(new FlowTable(4, {}, SEED).createKey().set(redirect)).toBe(false);
  });
});

describe('flows with the same hash are kept apart', () => {
  const udp = (src: string, dst: string, srcPort: number) =>
    packet(b.ip(src, dst, b.udp(srcPort, srcPort === 1 ? 53 : 0)));
  // Found by a search with this seed.
  test.each<[string, Packet, Packet]>([
    ['by port', udp('10.0.0.1', '10.0.0.2', 45086), udp('10.0.0.1', '10.0.0.2', 60090)],
    ['by source', udp('0.1.133.176', '10.0.0.2', 1), udp('0.1.210.120', '10.0.0.2', 1)],
    ['by destination', udp('0.0.0.1', '10.0.52.200', 1), udp('0.0.0.1', '10.0.84.117', 1)],
    [
      'by the third word of an IPv6 address',
      udp('fd00::0:2907:0:1', 'fd00::2', 1),
      udp('fd00::0:862e:0:1', 'fd00::2', 1),
    ],
  ])('%s', (_, one, other) => {
    const key = new FlowKey(SEED);
    const hash = (of: Packet) => [key.set(of), key.hash];
    expect(hash(one)).toEqual(hash(other));
    const table = new FlowTable(4, {}, SEED);
    const slots = [insert(table, one, 0), insert(table, other, 0)];
    expect([table.find(keyOf(table, one), 0), table.find(keyOf(table, other), 0)]).toEqual(slots);
    table.remove(table.find(keyOf(table, one), 0));
    expect([table.find(keyOf(table, one), 0), table.find(keyOf(table, other), 0)]).toEqual([NO_SLOT, slots[1]]);
  });
});

describe('expiry', () => {
  test.each([
    ['tcpSynSent', states.TCP_SYN_SENT],
    ['tcpEstablished', states.TCP_ESTABLISHED],
    ['tcpHalfClosed', states.TCP_HALF_CLOSED_BY_OPENER],
    ['tcpTimeWait', states.TCP_TIME_WAIT],
    ['udpUnreplied', states.UDP_UNREPLIED],
    ['udpReplied', states.UDP_REPLIED],
    ['icmp', states.ICMP_REPLIED],
    ['sctpEstablished', states.SCTP_ESTABLISHED],
    ['other', states.OTHER_UNREPLIED],
  ] as const)('removes a flow at its timeout, or at most one move interval later: %s', (name, state) => {
    const start = 0x7fffff00; // the clock wraps
    for (const revoked of [false, true]) {
      const table = new FlowTable(4, {}, SEED);
      const slot = insert(table, nth(1), start, state);
      table.judged(slot, 1, revoked, 0, start);
      const timeout = DEFAULT_TIMEOUTS[name];
      expect(table.find(keyOf(table, nth(1)), (start + timeout) | 0)).toBe(slot);
      expect(table.expire((start + timeout) | 0, 100)).toBe(0);
      const gone = (start + timeout + MOVE_INTERVAL + 1) | 0;
      expect(table.find(keyOf(table, nth(1)), gone)).toBe(NO_SLOT);
      expect([table.size, table.counters[EXPIRED]]).toEqual([0, 1]);
    }
  });

  test('keeps a flow that has packets', () => {
    const table = new FlowTable(4, { udpUnreplied: 10_000 }, SEED);
    const slot = insert(table, nth(1), 0);
    for (let now = 0; now < 60_000; now += 9_000) {
      expect(table.find(keyOf(table, nth(1)), now)).toBe(slot);
      table.advance(slot, states.OPENER, states.EVENT_TRAFFIC, now);
      table.expire(now, 100);
    }
    for (let now = 60_000; now < 120_000; now += 9_000) {
      expect(table.find(keyOf(table, nth(1)), now)).toBe(slot);
      table.touch(slot, now);
      table.expire(now, 100);
    }
  });

  test('is not postponed by a lookup', () => {
    const table = new FlowTable(4, { udpUnreplied: 10_000 }, SEED);
    insert(table, nth(1), 0);
    expect(table.find(keyOf(table, nth(1)), 10_000)).not.toBe(NO_SLOT);
    expect(table.find(keyOf(table, nth(1)), 11_001)).toBe(NO_SLOT);
  });

  test('removes no more flows than its budget, and all of them after a few calls', () => {
    const table = new FlowTable(100, {}, SEED);
    for (let n = 0; n < 100; n++) insert(table, nth(n), 0);
    let calls = 0;
    while (table.size > 0 && calls < 100) {
      const removed = table.expire(40_000, 10);
      expect(removed).toBeLessThanOrEqual(10);
      calls++;
    }
    expect(calls).toBeLessThan(20);
    expect(table.counters[EXPIRED]).toBe(100);
    expect(problems(table)).toEqual([]);
  });

  test('happens on insertions alone, before anything is evicted', () => {
    const table = new FlowTable(200, {}, SEED);
    for (let n = 0; n < 100; n++) insert(table, nth(n), 0);
    for (let n = 100; n < 200; n++) insert(table, nth(n), 40_000);
    expect(table.counters[EXPIRED]).toBeGreaterThan(80);
    expect(table.size).toBeLessThan(120);
  });
});

describe('eviction', () => {
  const evicted = (table: FlowTable) => [...table.counters.slice(EVICTED)];

  test('takes closed, then unreplied, then revoked, then replied flows', () => {
    const table = new FlowTable(4, {}, SEED);
    const replied = insert(table, nth(0), 0, states.TCP_ESTABLISHED);
    const revoked = insert(table, nth(1), 10, states.UDP_UNREPLIED);
    table.judged(revoked, 2, true, 0, 10);
    insert(table, nth(2), 20, states.TCP_SYN_SENT);
    insert(table, nth(3), 30, states.TCP_CLOSED);
    const left = (now: number) => [0, 1, 2, 3].filter((n) => table.find(keyOf(table, nth(n)), now) !== NO_SLOT);
    const more = (n: number) => insert(table, nth(n), 40, states.TCP_ESTABLISHED);
    more(4);
    expect(left(40)).toEqual([0, 1, 2]);
    more(5);
    expect(left(40)).toEqual([0, 1]);
    more(6);
    expect(left(40)).toEqual([0]);
    more(7);
    expect(left(40)).toEqual([]);
    expect(evicted(table)).toEqual([1, 1, 1, 1]);
    expect([table.size, replied]).toEqual([4, 1]);
    expect(problems(table)).toEqual([]);
  });

  test('takes the least recently used of flows of equal value, whatever their protocol', () => {
    const table = new FlowTable(3, {}, SEED);
    insert(table, nth(0), 0, states.TCP_ESTABLISHED);
    insert(table, nth(1), 5, states.UDP_REPLIED);
    insert(table, nth(2), 10, states.SCTP_ESTABLISHED);
    table.touch(table.find(keyOf(table, nth(0)), 2000), 2000);
    insert(table, nth(3), 2000, states.TCP_ESTABLISHED);
    expect([0, 1, 2, 3].filter((n) => table.find(keyOf(table, nth(n)), 2000) !== NO_SLOT)).toEqual([0, 2, 3]);
  });

  test('keeps a sixteenth of a table full of replied flows for new and for revoked ones, and no more', () => {
    const table = new FlowTable(32, {}, SEED);
    const revoke = (slot: Slot, now: number) => table.judged(slot, 2, true, 0, now);
    for (let n = 0; n < 2; n++) revoke(insert(table, nth(n), 0), 0);
    for (let n = 2; n < 32; n++) insert(table, nth(n), n, states.UDP_REPLIED);
    for (let n = 32; n < 35; n++) insert(table, nth(n), n);
    const kept = (first: number, last: number) =>
      Array.from({ length: last - first }, (_, n) => first + n).filter(
        (n) => table.find(keyOf(table, nth(n)), 40) !== NO_SLOT,
      );
    expect(kept(0, 2)).toEqual([0, 1]);
    // The third one and the two before it together exceeded the reserve.
    expect(kept(32, 35)).toEqual([32, 33, 34]);
    insert(table, nth(35), 36);
    expect(kept(32, 36)).toEqual([33, 34, 35]);
    revoke(insert(table, nth(36), 37, states.UDP_REPLIED), 37);
    insert(table, nth(37), 38, states.UDP_REPLIED);
    insert(table, nth(38), 39, states.UDP_REPLIED);
    expect([...kept(0, 2), ...kept(32, 37)]).toEqual([1, 34, 35, 36]);
    expect(problems(table)).toEqual([]);
  });

  test('does not let a flood of new flows displace an established one', () => {
    const table = new FlowTable(16, {}, SEED);
    const established = insert(table, nth(0), 0, states.TCP_ESTABLISHED);
    for (let n = 1; n < 2000; n++) insert(table, nth(n), n);
    expect(table.find(keyOf(table, nth(0)), 2000)).toBe(established);
    expect(table.size).toBe(16);
    expect(problems(table)).toEqual([]);
  });
});

test('flows are counted by state', () => {
  const table = new FlowTable(8, {}, SEED);
  insert(table, nth(0), 0);
  const replied = insert(table, nth(1), 0);
  table.advance(replied, states.OTHER, states.EVENT_TRAFFIC, 0);
  expect([table.lists.sizes[states.UDP_UNREPLIED], table.lists.sizes[states.UDP_REPLIED]]).toEqual([1, 1]);
});

test('keys that differ in one bit spread over the chains, differently for each seed', () => {
  const spread = (seed: readonly [number, number]) => {
    const table = new FlowTable(1024, {}, seed);
    for (let n = 0; n < 1024; n++) insert(table, nth(n), 0);
    const used = table.buckets.reduce((sum, first) => sum + (first === NO_SLOT ? 0 : 1), 0);
    return { used, order: table.buckets.join() };
  };
  const [one, two] = [spread([1, 2]), spread([1, 3])];
  // 1024 balls in 2048 bins leave 806 in use on average, with a deviation of 12.
  for (const { used } of [one, two]) expect(Math.abs(used - 806)).toBeLessThan(60);
  expect(one.order).not.toBe(two.order);
});

test('capacity and timeouts out of bounds are refused', () => {
  for (const capacity of [0, -1, 1.5, Number.NaN, MAX_CAPACITY + 1]) {
    expect(() => new FlowTable(capacity)).toThrow(RangeError);
  }
  expect(() => new FlowTable(1, { icmp: 0 })).toThrow(/icmp/);
  expect(() => new FlowTable(1, { tcpEstablished: 2 ** 31 })).toThrow(RangeError);
});
