/** `npm run bench wire`: two pods whose cables are podfence, beside the kernel alone and beside every packet through the queue. */
import type { Bench, BenchContext } from '../harness/bench.ts';
import { inChild } from '../harness/child.ts';
import { bars, curves } from '../harness/panels.ts';
import { command, requirement, rootOnLinux } from '../harness/requirements.ts';
import { type MeasuredRow, row, single } from '../harness/result.ts';
import { quantile, sorted } from '../harness/statistics.ts';
import { connections, type Outcome, type Sizes } from '../queue/measures.ts';
import { Rounds, rowName } from '../queue/rounds.ts';
import { datagramRate, tcpThroughput } from '../traffic/iperf.ts';
import { clusterOf } from '../traffic/large-cluster.ts';
import type { Latencies, LatencyInput } from '../traffic/latency-process.ts';
import { PodPair, SERVER_ADDRESS } from '../traffic/pod-pair.ts';
import { startServer } from '../traffic/servers.ts';
import type { TwoPods } from '../traffic/two-pods.ts';
import { WirePair } from './wire-pair.ts';

const LATENCY = new URL('../traffic/latency-process.ts', import.meta.url);
const ECHO_PORT = 7000;
const FIRST_SOURCE_PORT = 10_000;
const QUANTILES = [0.5, 0.99];

const SIZES: Sizes = { rounds: 5, seconds: 5, roundTrips: 20_000, firstPackets: 3000 };
const QUICK: Sizes = { rounds: 1, seconds: 1, roundTrips: 2000, firstPackets: 500 };

const KERNEL = 'kernel only';
const QUEUE = 'queue, every packet';
const WIRE = 'wire';

type Pair = TwoPods & AsyncDisposable;

const VARIANTS: Readonly<Record<string, () => Promise<Pair>>> = {
  [KERNEL]: () => PodPair.create(),
  [QUEUE]: () => PodPair.create({ flags: { offload: false }, snapshot: clusterOf(1) }),
  [WIRE]: () => WirePair.create(clusterOf(1)),
};

/** What is measured of one pair in one round. */
interface Turn {
  readonly pair: Pair;
  readonly round: number;
  readonly sizes: Sizes;
  readonly signal: AbortSignal;
}

const MEASURES: Readonly<Record<string, (turn: Turn) => Promise<Outcome>>> = {
  'round trip': roundTrips,
  'TCP throughput': async ({ pair, sizes }) => ({
    values: [{ name: 'TCP throughput', unit: 'Gbit/s', value: (await tcpThroughput(pair, sizes.seconds)) / 1e9 }],
  }),
  'UDP packets/s, and half of it': datagrams,
  'connections/s': ({ pair, ...turn }) => connections(pair, turn),
};

export const bench: Bench = {
  obstacle: () => requirement(rootOnLinux, command('iperf3'), command('wrk'), command('iptables')),
  async run(context) {
    const sizes = context.quick ? QUICK : SIZES;
    const rounds = await measure(context, sizes);
    const lost = rounds.runs('UDP lost at half the rate', WIRE);
    return {
      parameters: { ...sizes, variants: Object.keys(VARIANTS) },
      rows: [
        ...comparisons(rounds),
        single(
          'UDP lost by the wire at half its rate',
          'packets',
          lost.reduce((sum, each) => sum + each, 0),
          [Math.min(...lost), Math.max(...lost)],
        ),
        ...rounds.rows(),
      ],
      curves: Object.keys(VARIANTS).map((variant) => rounds.curve('round trip', variant)),
      notes: [
        'A packet between two pods of a node goes through two wires, one for each pod, and through one queue.',
        'All variants are measured one after the other in every round; a ratio is that of one round, and its value the median of the rounds.',
      ],
    };
  },
  panels: ({ rows, curves: all }) => [
    curves(
      'Round trip between two pods, one flow',
      all.map((curve) => ({ ...curve, name: curve.name.replace('round trip, ', '') })),
      'log',
    ),
    ...['TCP throughput', 'UDP packets/s', 'connections/s'].map((value) =>
      bars(
        value,
        rows.filter(({ name }) => Object.keys(VARIANTS).some((variant) => name === rowName(value, variant))),
        { split: (name) => [name.slice(value.length + 2), ''] },
      ),
    ),
  ],
};

async function measure({ progress, signal }: BenchContext, sizes: Sizes): Promise<Rounds> {
  const rounds = new Rounds();
  await using stack = new AsyncDisposableStack();
  const pairs = new Map<string, Pair>();
  for (const [name, start] of Object.entries(VARIANTS)) {
    signal.throwIfAborted();
    progress(`setting up: ${name}`, pairs.size + 1, Object.keys(VARIANTS).length);
    pairs.set(name, stack.use(await start()));
  }
  for (let round = 0; round < sizes.rounds; round++) {
    for (const [name, run] of Object.entries(MEASURES)) {
      progress(`${name}, round`, round + 1, sizes.rounds);
      for (const [variant, pair] of pairs) {
        signal.throwIfAborted();
        rounds.add(name, variant, await run({ pair, round, sizes, signal }));
      }
    }
  }
  return rounds;
}

function comparisons(rounds: Rounds): MeasuredRow[] {
  return ['round trip p50', 'TCP throughput', 'UDP packets/s', 'connections/s'].flatMap((name) =>
    [KERNEL, QUEUE].map((other) =>
      row(
        `${name}, ${WIRE} / ${other}`,
        'ratio',
        rounds.compare(name, [WIRE, other], (one, two) => one / two),
      ),
    ),
  );
}

async function roundTrips({ pair, round, sizes, signal }: Turn): Promise<Outcome> {
  using _server = await startServer(pair.server.netns, 'echo', { port: ECHO_PORT }, signal);
  const input: LatencyInput = {
    ...{ what: 'round trip', address: SERVER_ADDRESS, port: ECHO_PORT, count: sizes.roundTrips },
    sourcePort: FIRST_SOURCE_PORT + round,
  };
  const { samples, lost } = await pair.client.netns.run(() => inChild<Latencies>(LATENCY, input, { signal }));
  const ascending = sorted(samples);
  const values = QUANTILES.map((share) => ({
    ...{ name: `round trip p${100 * share}`, unit: 'us', value: quantile(ascending, share) },
  }));
  return { values, samples, failed: lost };
}

async function datagrams({ pair, sizes }: Turn): Promise<Outcome> {
  const { received } = await datagramRate(pair, sizes.seconds);
  const half = await datagramRate(pair, sizes.seconds, received / 2);
  return {
    values: [
      { name: 'UDP packets/s', unit: 'packets/s', value: received },
      { name: 'half of that rate', unit: 'packets/s', value: received / 2 },
      { name: 'UDP lost at half the rate', unit: 'packets', value: half.lost },
    ],
  };
}
