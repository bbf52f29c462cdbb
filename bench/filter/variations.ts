/** What is measured: each variation is a kind of step in a scenario. */
import { LRUCache } from 'lru-cache';
import { FlowTable } from '../../src/conntrack/flow-table.ts';
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
import { distinctFlows, ErrorPacket, FlowPacket, inOrder, random } from './traffic.ts';

export type Kind = keyof typeof KINDS;

/** The coarse clock of flows that are opened before, and of the packets measured. */
const OPENED = 1000;
const NOW = 1500;

const SYN = tcp(1, OPEN_PORT, 'S');
const ACK = tcp(1, OPEN_PORT, 'A');
const QUERY = udp(1, OPEN_PORT);

/** Makes what a variation needs, and gives the steps to measure. */
const KINDS = {
  'harness alone': ({ pods, flows }: Scenario): Steps => {
    const packet = new FlowPacket(ACK, pods);
    return random(flows, (flow) => {
      packet.take(flow);
      return true;
    });
  },
  'decode, TCP': (scenario: Scenario): Steps => decoding(ACK, scenario),
  'decode, UDP': (scenario: Scenario): Steps => decoding(QUERY, scenario),
  'established TCP': (scenario: Scenario): Steps => established(scenario, SYN, ACK),
  'established UDP': (scenario: Scenario): Steps => established(scenario, QUERY, QUERY),
  'ICMP error': (scenario: Scenario): Steps => {
    const filter = filterWithFlows(scenario, SYN);
    return judging(filter, new ErrorPacket(ACK, scenario.pods), scenario.flows, random, RELATED);
  },
  'new flow allowed': (scenario: Scenario): Steps => {
    const packet = new FlowPacket(SYN, scenario.pods);
    return judging(emptyFilter(scenario), packet, distinctFlows(scenario.pods), inOrder, ALLOWED_BY_POLICY);
  },
  'new flow denied': (scenario: Scenario): Steps => {
    const packet = new FlowPacket(tcp(1, CLOSED_PORT, 'S'), scenario.pods);
    return judging(emptyFilter(scenario), packet, distinctFlows(scenario.pods), inOrder, INGRESS_DENIED);
  },
  'new flow allowed, naive scan of policies': (scenario: Scenario): Steps => {
    const scan = new PolicyScan(recordsOf(scenario));
    const { packet, take } = decoded(SYN, scenario);
    return inOrder(distinctFlows(scenario.pods), (flow) => {
      take(flow);
      return scan.allows(packet.src0, packet.dst0, packet.dstPort);
    });
  },
  'flow lookup, our table': (scenario: Scenario): Steps => {
    const table = flowTable(scenario.flows);
    const { packet, take } = decoded(ACK, scenario);
    for (let flow = 0; flow < scenario.flows; flow++) {
      take(flow);
      table.find(packet, NOW);
      table.insert(OPENER, 1, 1, 0, NOW);
    }
    return random(scenario.flows, (flow) => {
      take(flow);
      return table.find(packet, NOW) !== NO_SLOT;
    });
  },
  'flow lookup, lru-cache by text': (scenario: Scenario): Steps =>
    lruLookup(
      scenario,
      ({ src0, dst0, srcPort, dstPort, protocol }) => `${src0} ${dst0} ${srcPort} ${dstPort} ${protocol}`,
    ),
  // Right only as long as everything goes to one address and port: what the least possible key would cost.
  'flow lookup, lru-cache by number': (scenario: Scenario): Steps =>
    lruLookup(scenario, ({ src0, srcPort }) => src0 * 0x10000 + srcPort),
};

export function prepare(kind: Kind, scenario: Scenario): Steps {
  return KINDS[kind](scenario);
}

function decoding(payload: Payload, scenario: Scenario): Steps {
  const { packet, take } = decoded(payload, scenario);
  return random(scenario.flows, (flow) => {
    take(flow);
    return packet.status === OK;
  });
}

function decoded(payload: Payload, { pods }: Scenario): { packet: Packet; take: (flow: number) => void } {
  const packet = new Packet();
  const bytes = new FlowPacket(payload, pods);
  const take = (flow: number) => {
    bytes.take(flow);
    decode(packet, bytes.view, 0, bytes.length);
  };
  return { packet, take };
}

function established(scenario: Scenario, opening: Payload, then: Payload): Steps {
  const filter = filterWithFlows(scenario, opening);
  return judging(filter, new FlowPacket(then, scenario.pods), scenario.flows, random, ESTABLISHED);
}

function judging(
  filter: Filter,
  packet: FlowPacket | ErrorPacket,
  flows: number,
  order: typeof random,
  expected: number,
): Steps {
  const { view, length } = packet;
  return order(flows, (flow) => {
    packet.take(flow);
    return filter.judge(view, 0, length, length, NOW) === expected;
  });
}

function emptyFilter(scenario: Scenario): Filter {
  return new Filter(flowTable(scenario.flows), compiled(recordsOf(scenario)));
}

function filterWithFlows(scenario: Scenario, opening: Payload): Filter {
  const filter = emptyFilter(scenario);
  const packet = new FlowPacket(opening, scenario.pods);
  for (let flow = 0; flow < scenario.flows; flow++) {
    packet.take(flow);
    filter.judge(packet.view, 0, packet.length, packet.length, OPENED);
  }
  if (filter.flows.size !== scenario.flows) throw new Error(`${filter.flows.size} of ${scenario.flows} flows opened`);
  return filter;
}

function lruLookup<K extends string | number>(scenario: Scenario, keyOf: (packet: Packet) => K): Steps {
  const cache = new LRUCache<K, number>({ max: scenario.flows });
  const { packet, take } = decoded(ACK, scenario);
  for (let flow = 0; flow < scenario.flows; flow++) {
    take(flow);
    cache.set(keyOf(packet), flow);
  }
  return random(scenario.flows, (flow) => {
    take(flow);
    return cache.get(keyOf(packet)) === flow;
  });
}

/** As a queue worker has it. */
function flowTable(capacity: number): FlowTable {
  const table = new FlowTable(capacity);
  if (process.platform !== 'linux') return table;
  adviseHugePages(table.words);
  adviseHugePages(table.buckets);
  return table;
}
