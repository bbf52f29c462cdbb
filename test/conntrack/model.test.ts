/** The flow table against a Map that does the same in the simplest way, over random histories. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EVICTED, EXPIRED, FlowTable, INSERTED, MOVE_INTERVAL } from '../../src/conntrack/flow-table.ts';
import { NO_SLOT } from '../../src/conntrack/slots.ts';
import * as states from '../../src/conntrack/states.ts';
import { timeoutsByState } from '../../src/conntrack/timeouts.ts';
import { decode } from '../../src/packet/decode.ts';
import { Packet } from '../../src/packet/packet.ts';
import * as b from '../packet/build.ts';
import { contents, problems } from './inspect.ts';
import { keyOf } from './key-of.ts';

const TIMEOUTS = timeoutsByState({});

/**
 * Both directions of a few flows. Some differ in one field only, some are the same ends reversed.
 */
const FLOWS: readonly (readonly [Packet, Packet])[] = [
  both('10.0.0.1', '10.0.0.2', b.tcp(1000, 80), b.tcp(80, 1000)),
  both('10.0.0.1', '10.0.0.2', b.tcp(80, 1000), b.tcp(1000, 80)),
  both('10.0.0.1', '10.0.0.2', b.udp(1000, 80), b.udp(80, 1000)),
  both('200.0.0.1', '10.0.0.2', b.udp(65535, 65535), b.udp(65535, 65535)),
  both('10.0.0.1', '10.0.0.2', b.echoRequest(8), b.echoReply(8)),
  both('10.0.0.2', '10.0.0.1', b.echoRequest(8), b.echoReply(8)),
  both('10.0.0.1', '10.0.0.2', b.icmp(13, 0, 8), b.icmp(14, 0, 8)),
  both('10.0.0.1', '10.0.0.2', b.raw(47), b.raw(47)),
  both('10.0.0.1', '10.0.0.2', b.sctp(5, 6, 0), b.sctp(6, 5, 0)),
  both('fd00::1', 'fd00::2', b.tcp(1000, 80), b.tcp(80, 1000)),
  both('fd00::1:0:1', 'fd00::2', b.tcp(1000, 80), b.tcp(80, 1000)),
  both('fd00::2', 'fd01::2', b.tcp(1000, 80), b.tcp(80, 1000)),
  both('fd00::1', 'fd00::2', b.echoRequest(8), b.echoReply(8)),
];

function both(a: string, z: string, there: b.Payload, back: b.Payload): readonly [Packet, Packet] {
  return [packet(b.ip(a, z, there)), packet(b.ip(z, a, back))];
}

function packet(bytes: Uint8Array): Packet {
  const decoded = new Packet();
  decode(decoded, b.viewOf(bytes), 0, bytes.length);
  return decoded;
}

interface ModelFlow {
  readonly opener: number;
  state: number;
  revoked: boolean;
  generation: number;
  notes: number;
  moved: number;
  /** Grows with every use of any flow. */
  order: number;
}

class Model {
  readonly flows = new Map<number, ModelFlow>();
  inserted = 0;
  expired = 0;
  readonly evicted = [0, 0, 0, 0];
  readonly #capacity: number;
  #order = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  find(flow: number, now: number): ModelFlow | undefined {
    const found = this.flows.get(flow);
    if (found === undefined || !isExpired(found, now)) return found;
    this.flows.delete(flow);
    this.expired++;
    return undefined;
  }

  expire(now: number): void {
    for (const [flow, found] of this.flows) if (isExpired(found, now)) this.expired += Number(this.flows.delete(flow));
  }

  insert(flow: number, opener: number, state: number, generation: number, notes: number, now: number): void {
    if (this.flows.size === this.#capacity) this.#evict();
    const order = this.#order++;
    this.flows.set(flow, { opener, state, revoked: false, generation, notes, moved: now, order });
    this.inserted++;
  }

  move(found: ModelFlow, now: number): void {
    found.moved = now;
    found.order = this.#order++;
  }

  #evict(): void {
    const worth = (flow: ModelFlow) => (flow.revoked ? states.WORTH_REVOKED : states.worthOf(flow.state));
    const candidates = [...this.flows].sort(
      ([, x], [, y]) => worth(x) - worth(y) || x.moved - y.moved || x.state - y.state || x.order - y.order,
    );
    const [flow, victim] = candidates[0] as [number, ModelFlow];
    this.flows.delete(flow);
    this.evicted[worth(victim)] = (this.evicted[worth(victim)] as number) + 1;
  }

  contents(): string[] {
    const lines = [...this.flows].map(([flow, kept]) => {
      const [there, back] = FLOWS[flow] as readonly [Packet, Packet];
      const p = kept.opener === 0 ? there : back;
      const ends = [p.src0, p.src1, p.src2, p.src3, p.srcPort, '>', p.dst0, p.dst1, p.dst2, p.dst3, p.dstPort].join(
        ' ',
      );
      const state = `${states.STATES[kept.state]}${kept.revoked ? ' revoked' : ''}`;
      return `${p.protocol} ${ends} ${state} by ${kept.generation} at ${kept.moved} notes ${kept.notes}`;
    });
    return lines.sort();
  }
}

function isExpired(flow: ModelFlow, now: number): boolean {
  return now - flow.moved > (TIMEOUTS[flow.state] as number) + MOVE_INTERVAL;
}

const flow = fc.nat(FLOWS.length - 1);
const direction = fc.constantFrom(0, 1);
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('packet' as const),
      flow,
      direction,
      event: fc.nat(7),
      opener: direction,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('judged' as const), flow, revoked: fc.boolean(), notes: fc.nat(4095) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('touch' as const), flow }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), flow }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 400, 1000, 11_000, 31_000, 121_000, 500_000_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const) }) },
);

test('a flow table behaves as a Map of flows, and its structure is intact after every operation', () => {
  const history = fc.array(step, { maxLength: 120 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      history,
      fc.tuple(fc.integer(), fc.integer()),
      (capacity, steps, seed) => {
        const table = new FlowTable(capacity, {}, seed);
        const model = new Model(capacity);
        let now = 0;
        let generation = 0;
        for (const each of steps) {
          generation++;
          if (each.kind === 'wait') now += each.ms;
          else if (each.kind === 'expire') expireAll();
          else if (each.kind === 'packet') {
            const asPacket = (FLOWS[each.flow] as readonly [Packet, Packet])[each.direction] as Packet;
            const found = model.find(each.flow, now);
            const key = keyOf(table, asPacket);
            const slot = table.find(key, now);
            expect(slot !== NO_SLOT).toBe(found !== undefined);
            if (found === undefined) {
              expireAll();
              const opener = each.opener === 0 ? each.direction : 1 - each.direction;
              const state = states.openingState(asPacket.protocol);
              model.insert(each.flow, opener, state, generation, 5, now);
              table.insert(key, each.opener, state, generation, 5, now);
            } else {
              const side = found.opener ^ each.direction;
              expect(table.sideOf(slot, key)).toBe(side);
              const next = states.nextState(found.state, side, each.event);
              if (next !== found.state || now - found.moved >= MOVE_INTERVAL) model.move(found, now);
              found.state = next;
              table.advance(slot, side, each.event, now);
            }
          } else {
            const found = model.find(each.flow, now);
            const slot = table.find(keyOf(table, (FLOWS[each.flow] as readonly [Packet, Packet])[0]), now);
            expect(slot !== NO_SLOT).toBe(found !== undefined);
            if (found === undefined) continue;
            if (each.kind === 'remove') {
              table.remove(slot);
              model.flows.delete(each.flow);
            } else if (each.kind === 'touch') {
              table.touch(slot, now);
              if (now - found.moved >= MOVE_INTERVAL) model.move(found, now);
            } else {
              table.judged(slot, generation, each.revoked, each.notes, now);
              if (found.revoked !== each.revoked) model.move(found, now);
              Object.assign(found, { generation, revoked: each.revoked, notes: each.notes });
            }
          }
          expect(problems(table)).toEqual([]);
          expect(contents(table)).toEqual(model.contents());
          expect(table.size).toBe(model.flows.size);
        }
        expect(table.counters[INSERTED]).toBe(model.inserted);
        expect(table.counters[EXPIRED]).toBe(model.expired);
        expect([...table.counters.slice(EVICTED)]).toEqual(model.evicted);

        function expireAll(): void {
          model.expire(now);
          table.expire(now, 200);
        }
      },
    ),
    { numRuns: 400 },
  );
});
