import { describe, expect, it } from 'vitest';
import { type FlowEvent, FlowEvents } from '../../../src/dataplane/nfqueue/flow-events.ts';
import { INGRESS_DENIED } from '../../../src/filter/reasons.ts';
import { Packet } from '../../../src/packet/packet.ts';

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
  it('gives what was written, once, oldest first, to the other end of the memory', () => {
    const memory = FlowEvents.shared();
    const [writer, reader] = [new FlowEvents(memory), new FlowEvents(memory)];
    writer.write(packet(1), INGRESS_DENIED, 1);
    writer.write(packet(2, 6), INGRESS_DENIED, 0);
    const addresses = { source: [0x0a000001], destination: [0x0a000002] };
    const flow = { protocol: 6, destinationPort: 80, reason: INGRESS_DENIED };
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

  it('keeps the oldest and counts what it has no room for, and takes more once it was read', () => {
    const events = new FlowEvents(FlowEvents.shared());
    for (let i = 0; i < CAPACITY + 3; i++) events.write(packet(i), INGRESS_DENIED, 1);
    expect(events.lost).toBe(3);
    expect(drained(events).map(({ sourcePort }) => sourcePort)).toEqual(Array.from({ length: CAPACITY }, (_, i) => i));
    events.write(packet(7), INGRESS_DENIED, 1);
    expect(drained(events)).toMatchObject([{ sourcePort: 7 }]);
    expect(events.lost).toBe(3);
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
