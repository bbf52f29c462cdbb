import { describe, expect, it } from 'vitest';
import { ALLOWED_BY_POLICY, INGRESS_DENIED, REVOKED } from '../../src/filter/reasons.ts';
import { type FlowEvent, FlowEvents } from '../../src/flows/flow-events.ts';
import { Packet } from '../../src/packet/packet.ts';
import { allocated, NOISE, PACKETS } from '../filter/allocated.ts';

const CAPACITY = 4096;

function packet(sourcePort: number, family: 4 | 6 = 4): Packet {
  const words = { src0: 0x0a000001, dst0: 0x0a000002, ...(family === 6 && { src3: 1, dst3: 2 }) };
  return Object.assign(new Packet(), { family, protocol: 6, ...words, srcPort: sourcePort, dstPort: 80 });
}

function drained(events: FlowEvents): FlowEvent[] {
  const taken: FlowEvent[] = [];
  events.drain((event) => taken.push(event));
  return taken;
}

describe('the ring of flow events', () => {
  it('returns what was written, once, oldest first, to the reader', () => {
    const memory = FlowEvents.shared();
    const [writer, reader] = [new FlowEvents(memory), new FlowEvents(memory)];
    writer.write(packet(1), INGRESS_DENIED, 1);
    writer.write(packet(2, 6), INGRESS_DENIED, 0);
    const addresses = { source: [0x0a000001], destination: [0x0a000002] };
    const flow = { protocol: 6, destinationPort: 80, reason: INGRESS_DENIED, audited: false };
    expect(drained(reader)).toEqual([
      { ...flow, ...addresses, family: 4, sourcePort: 1, direction: 1 },
      {
        ...flow,
        ...{ source: [0x0a000001, 0, 0, 1], destination: [0x0a000002, 0, 0, 2] },
        ...{ family: 6, sourcePort: 2, direction: 0 },
      },
    ]);
    expect(drained(reader)).toEqual([]);
  });

  it('keeps the oldest events and counts those that do not fit, and accepts more once it was read', () => {
    const events = new FlowEvents(FlowEvents.shared());
    for (let i = 0; i < CAPACITY + 3; i++) events.write(packet(i), ALLOWED_BY_POLICY, 1);
    expect(events.takeLost()).toBe(3);
    expect(drained(events).map(({ sourcePort }) => sourcePort)).toEqual(Array.from({ length: CAPACITY }, (_, i) => i));
    events.write(packet(7), ALLOWED_BY_POLICY, 1);
    expect(drained(events)).toMatchObject([{ sourcePort: 7 }]);
    expect(events.takeLost()).toBe(0);
  });

  it('keeps room for allowed flows, however many are denied', () => {
    const events = new FlowEvents(FlowEvents.shared());
    for (let i = 0; i < 2 * CAPACITY; i++) events.write(packet(i), INGRESS_DENIED, 1);
    for (let i = 0; i < CAPACITY / 4; i++) events.write(packet(i), ALLOWED_BY_POLICY, 1);
    expect(drained(events).filter(({ reason }) => reason === ALLOWED_BY_POLICY)).toHaveLength(CAPACITY / 4);
  });

  it('is read only while there is time; the rest is read later or skipped', () => {
    const events = new FlowEvents(FlowEvents.shared());
    for (let i = 0; i < 10; i++) events.write(packet(i), INGRESS_DENIED, 1);
    const taken: number[] = [];
    const some = () =>
      events.drain(
        ({ sourcePort }) => taken.push(sourcePort),
        () => taken.length % 4 !== 3,
      );
    some();
    expect(taken).toEqual([0, 1, 2]);
    taken.length = 0;
    some();
    expect(taken).toEqual([3, 4, 5]);
    events.skip();
    expect(events.takeLost()).toBe(4);
    expect(drained(events)).toEqual([]);
    events.write(packet(10), INGRESS_DENIED, 1);
    expect(drained(events)).toMatchObject([{ sourcePort: 10 }]);
  });

  it('reports a reply in the direction in which its flow was opened', () => {
    const events = new FlowEvents(FlowEvents.shared());
    const back = { src0: 0x0a000002, dst0: 0x0a000001, srcPort: 80, dstPort: 7 };
    events.write(Object.assign(packet(1), back), REVOKED, 1, false, true);
    events.write(packet(7), REVOKED, 1);
    const [reversed, straight] = drained(events);
    expect(reversed).toEqual(straight);
  });

  it('takes a million events without allocating, though most do not fit', () => {
    const events = new FlowEvents(FlowEvents.shared());
    const [denied, allowed] = [packet(1), packet(2, 6)];
    const bytes = allocated((i) => {
      events.write(denied, REVOKED, 1, (i & 1) === 0);
      events.write(allowed, ALLOWED_BY_POLICY, 0);
      if (i % 10_000 === 0) events.skip();
    });
    expect(events.takeLost()).toBeGreaterThan(PACKETS);
    expect(bytes).toBeLessThan(NOISE);
  });

  it('goes on when its count of events wraps', () => {
    const memory = FlowEvents.shared();
    new Int32Array(memory).fill(0x7fffffff, 0, 2);
    const events = new FlowEvents(memory);
    for (const port of [1, 2, 3]) events.write(packet(port), INGRESS_DENIED, 1);
    expect(drained(events).map(({ sourcePort }) => sourcePort)).toEqual([1, 2, 3]);
    expect(new Int32Array(memory)[0]).toBe(-0x7ffffffe);
  });
});
