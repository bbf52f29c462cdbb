/** The packet path allocates nothing, so that no garbage collection delays packets. */
import { describe, expect, test } from 'vitest';
import { FIRST_DENY } from '../../src/filter/reasons.ts';
import * as b from '../packet/build.ts';
import { allocated, NOISE, PACKETS } from './allocated.ts';
import { audited, DB, DB6, FAR, from, policy, port, rule, Scene, WEB, WEB6 } from './scene.ts';

/** Packets in one buffer, as in the queue. */
class Batch {
  readonly view: DataView;
  readonly lengths: Int32Array;

  constructor(packets: readonly Uint8Array[]) {
    const bytes = new Uint8Array(packets.length * 128);
    for (const [i, packet] of packets.entries()) bytes.set(packet.subarray(0, 128), i * 128);
    this.view = new DataView(bytes.buffer);
    this.lengths = Int32Array.from(packets, (packet) => packet.length);
  }
}

function allows(reason: number): boolean {
  return reason < FIRST_DENY;
}

const open = rule([from('web')]);
const each = (count: number, packets: (n: number) => Uint8Array[]) =>
  Array.from({ length: count }, (_, n) => packets(n)).flat();

describe('judges a million packets without allocating', () => {
  const dbFromWeb = [policy('db', { ingress: [open], egress: [] })];
  const syn4 = (n: number) => b.ip(WEB, DB, b.tcp(40_000 + n, 80, 'S'));
  const syn6 = (n: number) => b.ip(WEB6, DB6, b.tcp(40_000 + n, 80, 'S'));
  const both4 = (n: number) => [b.ip(WEB, DB, b.tcp(40_000 + n, 80)), b.ip(DB, WEB, b.tcp(80, 40_000 + n))];
  const both6 = (n: number) => [b.ip(WEB6, DB6, b.tcp(40_000 + n, 80)), b.ip(DB6, WEB6, b.tcp(80, 40_000 + n))];
  const udp = (n: number) => [b.ip(WEB, DB, b.udp(40_000 + n, 53)), b.ip(DB, WEB, b.udp(53, 40_000 + n))];
  const ping = (n: number) => [b.ip(WEB, DB, b.echoRequest(n)), b.ip(DB, WEB, b.echoReply(n))];

  const init = (n: number) => b.ip(WEB, DB, b.sctp(n, 5, 1));
  const data = (n: number) => b.ip(DB, WEB, b.sctp(5, n, 0));
  const udpAndMore = (n: number) => [...udp(n), ...ping(n), b.ip(WEB, DB, b.raw(47))];

  test.each<[string, (n: number) => Uint8Array[], (n: number) => Uint8Array[], boolean]>([
    ['established TCP', (n) => [syn4(n)], both4, true],
    ['established TCP in IPv6', (n) => [syn6(n)], both6, true],
    ['UDP, ICMP, SCTP and others', (n) => [init(n)], (n) => [...udpAndMore(n), data(n)], true],
    [
      'ICMP errors of flows',
      (n) => [syn4(n), syn6(n)],
      (n) => [b.ip(FAR, WEB, b.tooBig(syn4(n))), b.ip(DB6, WEB6, b.tooBig(syn6(n)))],
      true,
    ],
    [
      'denied packets',
      () => [],
      (n) => [b.ip(FAR, DB, b.tcp(n, 80, 'S')), b.ip('2001:db8::1', DB6, b.udp(n, 80))],
      false,
    ],
    [
      'mid-stream, malformed and fragmented packets',
      () => [],
      (n) => [
        b.ip(FAR, DB, b.tcp(n, 80)),
        b.ip(FAR, DB, b.udp(n, 80, { length: 3 })),
        b.ip(FAR, DB, b.udp(n, 80), { offset: 8 * n + 8 }),
      ],
      false,
    ],
  ])('%s', (_, first, then, allowed) => {
    const scene = new Scene(dbFromWeb, 1000);
    for (const packet of each(64, first)) scene.judge(packet);
    const batch = new Batch(each(64, then));
    const { filter } = scene;
    let asExpected = 0;
    const bytes = allocated((i) => {
      const n = i % batch.lengths.length;
      const length = batch.lengths[n] as number;
      const reason = filter.judge(batch.view, n * 128, length, length, scene.now + (i >> 7));
      if (allows(reason) === allowed) asExpected++;
    });
    expect(asExpected).toBeGreaterThan(PACKETS);
    expect(asExpected % (PACKETS / 4)).toBe(0);
    expect(bytes).toBeLessThan(NOISE);
  });

  test('in announced batches', () => {
    const scene = new Scene(dbFromWeb, 1000);
    for (const packet of each(64, (n) => [syn4(n), syn6(n)])) scene.judge(packet);
    const batch = new Batch(each(64, (n) => [...both4(n), ...both6(n), b.ip(FAR, WEB, b.tooBig(syn4(n)))]));
    const { filter } = scene;
    const bytes = allocated((i) => {
      const n = i % batch.lengths.length;
      const length = batch.lengths[n] as number;
      filter.announce(batch.view, n * 128, length, length);
      if (i % 64 === 0) filter.flows.lookahead.read();
      filter.judge(batch.view, n * 128, length, length, scene.now);
    });
    expect(bytes).toBeLessThan(NOISE);
  });

  test('that only audited policies deny, of new flows, known flows and none', () => {
    const dbIsDeaf = [audited(policy('db', { ingress: [] }))];
    const scene = new Scene(dbIsDeaf, 1000);
    const batch = new Batch(each(64, (n) => [syn4(n), syn6(n), ...udp(n), b.ip(FAR, DB, b.tcp(n, 80)), ...ping(n)]));
    const { filter } = scene;
    const tables = [filter.table];
    scene.setPolicies(dbFromWeb);
    tables.push(filter.table);
    let passed = 0;
    const bytes = allocated((i) => {
      const n = i % batch.lengths.length;
      if (n === 0) filter.useTable(tables[(i / batch.lengths.length) & 1] as typeof filter.table);
      const length = batch.lengths[n] as number;
      filter.judge(batch.view, n * 128, length, length, (i >> 4) | 0);
      if (filter.isAudited) passed++;
    });
    expect(passed).toBeGreaterThan(PACKETS / 100);
    expect(bytes).toBeLessThan(NOISE);
  });

  test.each([
    ['new flows, evicting others', 1_000_000],
    ['new flows, others expiring', 10],
  ])('%s', (_, perMillisecond) => {
    const scene = new Scene([policy('db', { ingress: [rule([], [port(53, 'UDP')])] })], 4000);
    const batch = new Batch([b.ip('9.0.0.0', DB, b.udp(1, 53)), b.ip('2001:db8::', DB6, b.udp(1, 53))]);
    const { view, lengths } = batch;
    const { filter } = scene;
    let allowed = 0;
    let now = 0;
    const bytes = allocated((i) => {
      view.setInt32(12, i);
      view.setInt32(128 + 20, i);
      if (i % perMillisecond === 0) now += 100;
      const n = i & 1;
      const length = lengths[n] as number;
      if (allows(filter.judge(view, n * 128, length, length, now))) allowed++;
    });
    expect(allowed).toBeGreaterThan(PACKETS);
    expect(filter.flows.counters[0]).toBeGreaterThan(PACKETS / 4);
    expect(bytes).toBeLessThan(NOISE);
  });

  test('of flows that newer tables judge again, revoked and allowed', () => {
    const scene = new Scene(dbFromWeb, 1000);
    const allowing = scene.filter.table;
    scene.setPolicies([policy('db', { ingress: [], egress: [] })]);
    const denying = scene.filter.table;
    const batch = new Batch(each(64, (n) => [...both4(n), ...both6(n)]));
    const { filter } = scene;
    filter.useTable(allowing);
    for (const packet of each(64, (n) => [syn4(n), syn6(n)])) scene.judge(packet);
    const bytes = allocated((i) => {
      filter.useTable((i >> 7) & 1 ? denying : allowing);
      const n = i % batch.lengths.length;
      const length = batch.lengths[n] as number;
      filter.judge(batch.view, n * 128, length, length, scene.now);
    });
    expect(filter.flows.size).toBe(128);
    expect(bytes).toBeLessThan(NOISE);
  });
});

test('the measurement notices an allocation in every hundredth packet', () => {
  const kept: unknown[] = [undefined];
  const bytes = allocated((i) => {
    if (i % 100 === 0) kept[0] = { i };
  });
  expect(bytes).toBeGreaterThan(NOISE);
});
