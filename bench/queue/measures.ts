/** What is measured of one pair of pods in one round. */
import { inChild } from '../harness/child.ts';
import { quantile, sorted } from '../harness/statistics.ts';
import { datagramRate, tcpThroughput } from '../traffic/iperf.ts';
import type { Latencies, LatencyInput } from '../traffic/latency-process.ts';
import { type PodPair, SERVER_ADDRESS } from '../traffic/pod-pair.ts';
import { startServer } from '../traffic/servers.ts';
import type { TwoPods } from '../traffic/two-pods.ts';
import { connectionRate } from '../traffic/wrk.ts';
import { machineBusy, queueThreads } from './cpu.ts';
import { EVERY_PACKET, KERNEL, MANY } from './variants.ts';

const LATENCY = new URL('../traffic/latency-process.ts', import.meta.url);
const ECHO_PORT = 7000;
const HTTP_PORT = 8000;
const FIRST_SOURCE_PORT = 10_000;
/** Datagrams a second at which the cost of one is compared: every variant carries so many without a loss. */
const STEADY_RATE = 20_000;
const QUANTILES = [0.5, 0.99, 0.999];
/** Below, the last of the quantiles would say nothing. */
const MANY_SAMPLES = 10_000;

export interface Sizes {
  readonly rounds: number;
  /** Of each throughput. */
  readonly seconds: number;
  readonly roundTrips: number;
  /** And TCP handshakes. */
  readonly firstPackets: number;
}

export interface Turn {
  readonly round: number;
  readonly sizes: Sizes;
  readonly signal: AbortSignal;
}

export interface Value {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
}

export interface Outcome {
  readonly values: readonly Value[];
  /** Microseconds, where a distribution is shown. */
  readonly samples?: Float64Array;
  /** Exchanges without an answer, connections that failed. */
  readonly failed?: number;
}

export interface Measure {
  readonly name: string;
  /** Whether it is made of this variant. @default all */
  readonly concerns?: (variant: string) => boolean;
  readonly run: (pair: PodPair, turn: Turn) => Promise<Outcome>;
}

const isEveryPacket = (variant: string) => variant === EVERY_PACKET || variant === EVERY_PACKET + MANY;

export const MEASURES: readonly Measure[] = [
  {
    name: 'round trip',
    run: (pair, turn) => latency(pair, turn, 'round trip', turn.sizes.roundTrips),
  },
  { name: 'round trip between cores', concerns: (variant) => variant === KERNEL, run: betweenCores },
  {
    name: 'first packet',
    run: (pair, turn) => latency(pair, turn, 'first packet', turn.sizes.firstPackets),
  },
  {
    name: 'handshake',
    run: (pair, turn) => latency(pair, turn, 'handshake', turn.sizes.firstPackets),
  },
  { name: 'TCP throughput', run: throughput },
  { name: 'UDP packets/s', concerns: (variant) => !isEveryPacket(variant), run: datagrams },
  { name: 'UDP packets/s, and half of it', concerns: isEveryPacket, run: datagramsThroughQueue },
  { name: 'CPU per packet', run: costOfPacket },
  { name: 'connections/s', run: connections },
];

async function latency(pair: PodPair, turn: Turn, what: LatencyInput['what'], count: number): Promise<Outcome> {
  const { samples, lost } = await latencies(pair, turn, what, count);
  const ascending = sorted(samples);
  const quantiles = QUANTILES.filter((share) => share <= 0.99 || samples.length >= MANY_SAMPLES);
  const values = quantiles.map((share) => ({
    name: `${what} p${Number((100 * share).toFixed(1))}`,
    unit: 'us',
    value: quantile(ascending, share),
  }));
  return { values, samples, failed: lost };
}

/** What it costs to wake somebody on another core: where nothing else is to do, the least that a queue can cost. */
async function betweenCores(pair: PodPair, turn: Turn): Promise<Outcome> {
  const { samples } = await latencies(pair, turn, 'round trip', turn.sizes.firstPackets, [0, 1]);
  return { values: [{ name: 'round trip between cores p50', unit: 'us', value: quantile(sorted(samples), 0.5) }] };
}

async function latencies(
  pair: PodPair,
  { round, signal }: Turn,
  what: LatencyInput['what'],
  count: number,
  cores?: readonly [client: number, server: number],
): Promise<Latencies> {
  const [server, port] = what === 'handshake' ? (['http', HTTP_PORT] as const) : (['echo', ECHO_PORT] as const);
  using _server = await startServer(pair.server.netns, server, { port, ...(cores && { core: cores[1] }) }, signal);
  // Twice as many as there are samples: the warm-up has its own.
  const sourcePort = FIRST_SOURCE_PORT + 2 * round * count;
  const input: LatencyInput = {
    what,
    address: SERVER_ADDRESS,
    port,
    count,
    sourcePort,
    ...(cores && { core: cores[0] }),
  };
  return await pair.client.netns.run(() => inChild<Latencies>(LATENCY, input, { signal }));
}

async function throughput(pair: PodPair, { sizes }: Turn): Promise<Outcome> {
  const value = (await tcpThroughput(pair, sizes.seconds)) / 1e9;
  return { values: [{ name: 'TCP throughput', unit: 'Gbit/s', value }] };
}

async function datagrams(pair: PodPair, { sizes }: Turn): Promise<Outcome> {
  const { received } = await datagramRate(pair, sizes.seconds);
  return { values: [{ name: 'UDP packets/s', unit: 'packets/s', value: received }] };
}

/** One flow, and so one queue. */
async function datagramsThroughQueue(pair: PodPair, { sizes }: Turn): Promise<Outcome> {
  const pid = pair.agent?.pid ?? 0;
  const before = queueThreads(pid);
  const { received } = await datagramRate(pair, sizes.seconds);
  const after = queueThreads(pid);
  const kernel = after.kernel - before.kernel;
  const dropped = await droppedByQueues(pair);
  const half = await datagramRate(pair, sizes.seconds, received / 2);
  return {
    values: [
      { name: 'UDP packets/s', unit: 'packets/s', value: received },
      {
        name: "share of the worker's time in system calls",
        unit: 'ratio',
        value: kernel / (kernel + after.user - before.user),
      },
      { name: 'UDP lost at half the rate', unit: 'packets', value: half.lost },
      { name: 'of them dropped by the queue', unit: 'packets', value: (await droppedByQueues(pair)) - dropped },
    ],
  };
}

async function droppedByQueues(pair: PodPair): Promise<number> {
  const { queues = [] } = (await pair.agent?.counters()) ?? {};
  return queues.reduce((sum, { droppedByKernel, droppedByUser }) => sum + droppedByKernel + droppedByUser, 0);
}

async function costOfPacket(pair: PodPair, { sizes }: Turn): Promise<Outcome> {
  const pid = pair.agent?.pid;
  const before = { busy: machineBusy(), threads: pid && queueThreads(pid) };
  const { received } = await datagramRate(pair, sizes.seconds, STEADY_RATE);
  const packets = received * sizes.seconds;
  const values: Value[] = [{ name: 'CPU per packet', unit: 'us', value: (machineBusy() - before.busy) / packets }];
  if (pid && before.threads) {
    const after = queueThreads(pid);
    const per = (part: 'user' | 'kernel') => (after[part] - (before.threads as typeof after)[part]) / packets;
    values.push(
      { name: "of it the worker's, in JavaScript", unit: 'us', value: per('user') },
      { name: "of it the worker's, in system calls", unit: 'us', value: per('kernel') },
    );
  }
  return { values };
}

export async function connections(pair: TwoPods, { sizes, signal }: Pick<Turn, 'sizes' | 'signal'>): Promise<Outcome> {
  using _server = await startServer(pair.server.netns, 'http', { port: HTTP_PORT }, signal);
  const { perSecond, p99, failed } = await connectionRate(pair, HTTP_PORT, sizes.seconds);
  return {
    values: [
      { name: 'connections/s', unit: 'connections/s', value: perSecond },
      { name: 'connection p99', unit: 'ms', value: p99 },
    ],
    failed,
  };
}
