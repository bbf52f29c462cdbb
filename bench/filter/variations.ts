/** The variations that are measured: each is a kind of step in a scenario. */
import { LRUCache } from 'lru-cache';
import { FlowTable } from '../../src/conntrack/flow-table.ts';
import { LOOKAHEAD_FROM } from '../../src/conntrack/lookahead.ts';
import { NO_SLOT } from '../../src/conntrack/slots.ts';
import { OPENER } from '../../src/conntrack/states.ts';
import { Filter } from '../../src/filter/filter.ts';
import { ALLOWED_BY_POLICY, ESTABLISHED, INGRESS_DENIED, RELATED } from '../../src/filter/reasons.ts';
import { decode } from '../../src/packet/decode.ts';
import { OK, Packet } from '../../src/packet/packet.ts';
import { adviseHugePages } from '../../src/sys/libc.ts';
import { type Payload, tcp, udp } from '../../test/packet/build.ts';
import type { Steps } from '../harness/cpu-time.ts';
import { PolicyScan } from './scan.ts';
import { CLOSED_PORT, compiled, OPEN_PORT, recordsOf, type Scenario } from './scenario.ts';
import {
  distinctFlows,
  ErrorPackets,
  FlowPackets,
  inBatches,
  inOrder,
  type Order,
  type Packets,
  random,
  STRIDE,
} from './traffic.ts';

export type Kind = keyof typeof KINDS;

/** Times of the coarse clock: when flows are opened, and when packets are measured. */
const OPENED = 1000;
const NOW = 1500;

const SYN = tcp(1, OPEN_PORT, 'S');
const ACK = tcp(1, OPEN_PORT, 'A');
const CLOSED_SYN = tcp(1, CLOSED_PORT, 'S');
const QUERY = udp(1, OPEN_PORT);

/** Each prepares a variation and returns the steps to measure. */
const KINDS = {
  'harness alone': ({ pods, flows }: Scenario): Steps => inBatches(random(flows), new FlowPackets(ACK, pods), () => 0),
  'decode, TCP': (scenario: Scenario): Steps => decoding(scenario, ACK, known(scenario), ({ status }) => status === OK),
  'decode, UDP': (scenario: Scenario): Steps =>
    decoding(scenario, QUERY, known(scenario), ({ status }) => status === OK),
  'established TCP': (scenario: Scenario): Steps =>
    judging(withFlows(scenario, SYN), new FlowPackets(ACK, scenario.pods), known(scenario), ESTABLISHED),
  'established TCP, nothing read ahead': (scenario: Scenario): Steps => {
    const packets = new FlowPackets(ACK, scenario.pods);
    const filter = withFlows(scenario, SYN);
    return inBatches(known(scenario), packets, (size) => judgeEach(filter, packets, size, ESTABLISHED));
  },
  'established UDP': (scenario: Scenario): Steps =>
    judging(withFlows(scenario, QUERY), new FlowPackets(QUERY, scenario.pods), known(scenario), ESTABLISHED),
  'ICMP error': (scenario: Scenario): Steps =>
    judging(withFlows(scenario, SYN), new ErrorPackets(ACK, scenario.pods), known(scenario), RELATED),
  'new flow allowed': (scenario: Scenario): Steps =>
    judging(withFlows(scenario, SYN), new FlowPackets(SYN, scenario.pods), fresh(scenario), ALLOWED_BY_POLICY),
  'new flow denied': (scenario: Scenario): Steps =>
    judging(withFlows(scenario, SYN), new FlowPackets(CLOSED_SYN, scenario.pods), fresh(scenario), INGRESS_DENIED),
  'new flow allowed, naive scan of policies': (scenario: Scenario): Steps => {
    const scan = new PolicyScan(recordsOf(scenario));
    return decoding(scenario, SYN, fresh(scenario), ({ src0, dst0, dstPort }) => scan.allows(src0, dst0, dstPort));
  },
  'flow lookup, our table': (scenario: Scenario): Steps => {
    const { flows } = withFlows(scenario, SYN);
    const key = flows.createKey();
    return decoding(scenario, ACK, known(scenario), (packet) => key.set(packet) && flows.find(key, NOW) !== NO_SLOT);
  },
  'flow lookup, lru-cache by text': (scenario: Scenario): Steps => lruLookup(scenario, keyText),
  'flow lookup, lru-cache by number': (scenario: Scenario): Steps => lruLookup(scenario, keyNumber),
  'flow entered, our table': (scenario: Scenario): Steps => {
    const { flows } = withFlows(scenario, SYN);
    const key = flows.createKey();
    return decoding(scenario, SYN, fresh(scenario), (packet) => {
      const isNew = key.set(packet) && flows.find(key, NOW) === NO_SLOT;
      flows.insert(key, OPENER, 1, 1, 0, NOW);
      return isNew;
    });
  },
  'flow entered, lru-cache by text': (scenario: Scenario): Steps => lruInsertion(scenario, keyText),
  'flow entered, lru-cache by number': (scenario: Scenario): Steps => lruInsertion(scenario, keyNumber),
};

export function prepare(kind: Kind, scenario: Scenario): Steps {
  return KINDS[kind](scenario);
}

/** Flows in the table. */
function known({ flows }: Scenario): Order {
  return random(flows);
}

/** Flows that are not in the table. */
function fresh({ pods, flows }: Scenario): Order {
  return inOrder(distinctFlows(pods), flows);
}

/** Decodes packet by packet, then runs `step`, which returns whether the result is right. */
function decoding({ pods }: Scenario, payload: Payload, order: Order, step: (packet: Packet) => boolean): Steps {
  const packet = new Packet();
  const packets = new FlowPackets(payload, pods);
  const { view, length } = packets;
  return inBatches(order, packets, (size) => {
    let wrong = 0;
    for (let i = 0; i < size; i++) {
      decode(packet, view, i * STRIDE, length);
      if (!step(packet)) wrong++;
    }
    return wrong;
  });
}

function judging(filter: Filter, packets: Packets, order: Order, expected: number): Steps {
  return inBatches(order, packets, (size) => judgeBatch(filter, packets, size, expected));
}

/**
 * Judges a batch as a queue worker does (dataplane/nfqueue/queue-worker.ts). Returns how many
 * packets had a reason other than `expected`.
 */
function judgeBatch(filter: Filter, packets: Packets, size: number, expected: number): number {
  if (filter.flows.size >= LOOKAHEAD_FROM) {
    const { view, length } = packets;
    for (let i = 0; i < size; i++) filter.announce(view, i * STRIDE, length, length);
    filter.flows.lookahead.read();
  }
  return judgeEach(filter, packets, size, expected);
}

function judgeEach(filter: Filter, { view, length }: Packets, size: number, expected: number): number {
  let wrong = 0;
  for (let i = 0; i < size; i++) {
    if (filter.judge(view, i * STRIDE, length, length, NOW) !== expected) wrong++;
  }
  return wrong;
}

/** Returns a filter whose flow table is full of flows that such packets opened. */
function withFlows(scenario: Scenario, opening: Payload): Filter {
  const { flows, pods } = scenario;
  const filter = new Filter(flowTable(flows), compiled(recordsOf(scenario)));
  const packets = new FlowPackets(opening, pods);
  for (let flow = 0; flow < flows; flow++) {
    packets.take(0, flow);
    filter.judge(packets.view, 0, packets.length, packets.length, OPENED);
  }
  if (filter.flows.size !== flows) throw new Error(`${filter.flows.size} of ${flows} flows opened`);
  return filter;
}

function keyText({ src0, dst0, srcPort, dstPort, protocol }: Packet): string {
  return `${src0} ${dst0} ${srcPort} ${dstPort} ${protocol}`;
}

/**
 * The smallest possible key, to show the least it could cost. Right only while all packets go to
 * one address and port.
 */
function keyNumber({ src0, srcPort }: Packet): number {
  return src0 * 0x10000 + srcPort;
}

function lruLookup<K extends string | number>(scenario: Scenario, keyOf: (packet: Packet) => K): Steps {
  const cache = fullCache(scenario, keyOf);
  return decoding(scenario, ACK, known(scenario), (packet) => cache.get(keyOf(packet)) !== undefined);
}

function lruInsertion<K extends string | number>(scenario: Scenario, keyOf: (packet: Packet) => K): Steps {
  const cache = fullCache(scenario, keyOf);
  return decoding(scenario, SYN, fresh(scenario), (packet) => {
    const key = keyOf(packet);
    const isNew = cache.get(key) === undefined;
    cache.set(key, 1);
    return isNew;
  });
}

function fullCache<K extends string | number>(scenario: Scenario, keyOf: (packet: Packet) => K): LRUCache<K, number> {
  const cache = new LRUCache<K, number>({ max: scenario.flows });
  const enter = decoding(scenario, SYN, inOrder(scenario.flows), (packet) => cache.set(keyOf(packet), 1) === cache);
  enter(scenario.flows);
  return cache;
}

/** Returns a flow table in huge pages, as a queue worker has it. */
function flowTable(capacity: number): FlowTable {
  const table = new FlowTable(capacity);
  if (process.platform !== 'linux') return table;
  adviseHugePages(table.words);
  adviseHugePages(table.buckets);
  return table;
}
