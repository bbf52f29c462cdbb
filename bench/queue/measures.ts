/** The measurements of one pair of pods in one round. */
import { datagramRate, tcpThroughput } from '../traffic/iperf.ts';
import { connectionRate } from '../traffic/wrk.ts';
import { since, timeOf } from './cpu.ts';
import { kernelQueues } from './kernel-queues.ts';
import { latency } from './latency.ts';
import { HTTP_PORT, type MeasuredPair } from './measured-pair.ts';
import { pacedFirstPackets } from './paced-latency.ts';
import { ONE_CORE, type Placement, place, TWO_CORES } from './placement.ts';
import { type Outcome, rowName, type Value } from './rounds.ts';
import type { Measure, Turn } from './turns.ts';
import { CONNTRACK, OFFLOAD, queuesEveryPacket } from './variants.ts';

/**
 * Datagrams a second at which CPU costs are compared: every variant carries this many without loss.
 */
const STEADY_RATE = 20_000;
const DATAGRAMS = 'UDP packets/s';
export const HALF_RATE = 'half of that rate';
export const LOST_AT_HALF = 'UDP lost at half the rate';

export const MEASURES: readonly Measure[] = [
  ...[ONE_CORE, TWO_CORES].flatMap((placement) => [
    latency('round trip', placement, ({ roundTrips }) => roundTrips),
    latency('first packet', placement, ({ firstPackets }) => firstPackets),
  ]),
  pacedFirstPackets([CONNTRACK, OFFLOAD]),
  latency('handshake', ONE_CORE, ({ firstPackets }) => firstPackets),
  { name: 'TCP throughput', run: throughput },
  { name: DATAGRAMS, concerns: (variant) => !queuesEveryPacket(variant), run: datagrams },
  { name: 'UDP packets/s through one queue', concerns: queuesEveryPacket, run: datagramsThroughQueue },
  { name: 'half of the packets/s', concerns: queuesEveryPacket, run: halfOfDatagrams },
  { name: 'CPU per packet', run: costOfPacket },
  connections(TWO_CORES),
  connections(ONE_CORE),
];

export async function throughput(pair: MeasuredPair, { sizes }: Turn): Promise<Outcome> {
  place(pair, TWO_CORES);
  const value = (await tcpThroughput(pair, { seconds: sizes.seconds, cores: TWO_CORES })) / 1e9;
  return { values: [{ name: 'TCP throughput', unit: 'Gbit/s', value }] };
}

export async function datagrams(pair: MeasuredPair, { sizes }: Turn): Promise<Outcome> {
  place(pair, TWO_CORES);
  const { received } = await datagramRate(pair, { seconds: sizes.seconds, cores: TWO_CORES });
  return { values: [{ name: DATAGRAMS, unit: 'packets/s', value: received }] };
}

/**
 * Measures what the queue's thread spends on a packet, from receiving it until the kernel has
 * carried out its verdict.
 */
async function datagramsThroughQueue(pair: MeasuredPair, turn: Turn): Promise<Outcome> {
  const { node, answerer } = pair;
  if (node === undefined || answerer === undefined) throw new Error('no process answers the queue');
  const before = { queues: kernelQueues(node.netns), time: timeOf(answerer) };
  const { values } = await datagrams(pair, turn);
  const { run, user, kernel } = since(before.time, timeOf(answerer));
  const packets = kernelQueues(node.netns).answered - before.queues.answered;
  return {
    values: [
      ...values,
      { name: 'CPU of who answers, at full load, per packet', unit: 'us', value: run / packets },
      { name: 'its share in system calls', unit: 'ratio', value: kernel / (kernel + user) },
    ],
  };
}

/** Sends at half of the rate that was just received. */
export async function halfOfDatagrams({ node, answerer, ...pair }: MeasuredPair, turn: Turn): Promise<Outcome> {
  const rate = turn.measured(DATAGRAMS) / 2;
  const queues = answerer === undefined ? undefined : node?.netns;
  const before = queues && kernelQueues(queues).dropped;
  const { lost } = await datagramRate(pair, { seconds: turn.sizes.seconds, cores: TWO_CORES, rate });
  const values: Value[] = [
    { name: HALF_RATE, unit: 'packets/s', value: rate },
    { name: LOST_AT_HALF, unit: 'packets', value: lost, counted: true },
  ];
  if (queues === undefined || before === undefined) return { values };
  const dropped = kernelQueues(queues).dropped - before;
  return {
    values: [...values, { name: 'of them dropped by the queue', unit: 'packets', value: dropped, counted: true }],
  };
}

async function costOfPacket(pair: MeasuredPair, { sizes }: Turn): Promise<Outcome> {
  place(pair, TWO_CORES);
  const { answerer } = pair;
  const before = answerer === undefined ? undefined : timeOf(answerer);
  const limits = { seconds: sizes.seconds, cores: TWO_CORES, rate: STEADY_RATE };
  const { cpu, sent } = await datagramRate(pair, limits);
  const ends = { name: 'CPU per packet, sender and receiver', unit: 'us', value: cpu / sent };
  if (answerer === undefined || before === undefined) {
    return { values: [{ name: 'CPU per packet', unit: 'us', value: cpu / sent }, ends] };
  }
  const { run } = since(before, timeOf(answerer));
  return {
    values: [
      { name: 'CPU per packet', unit: 'us', value: (cpu + run) / sent },
      ends,
      { name: 'CPU per packet, who answers the queue', unit: 'us', value: run / sent },
    ],
  };
}

export function connections(placement: Placement): Measure {
  const name = rowName('connections/s', placement.name);
  return {
    name,
    async run(pair, { sizes }) {
      place(pair, placement);
      const { perSecond, p99, failed } = await connectionRate(pair, HTTP_PORT, sizes.seconds, placement.client);
      return {
        values: [
          { name, unit: 'connections/s', value: perSecond },
          { name: rowName('connection p99', placement.name), unit: 'ms', value: p99 },
        ],
        failed,
      };
    },
  };
}
