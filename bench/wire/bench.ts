/**
 * `npm run bench wire`: two pods whose cables are podfence, compared to the kernel alone and to
 * every packet through the queue.
 */
import type { Bench } from '../harness/bench.ts';
import { bars, curves } from '../harness/panels.ts';
import { type MeasuredRow, row } from '../harness/result.ts';
import { half } from '../queue/comparisons.ts';
import { latency } from '../queue/latency.ts';
import { connections, datagrams, halfOfDatagrams, throughput } from '../queue/measures.ts';
import { placedPairs, TWO_CORES } from '../queue/placement.ts';
import { type Rounds, rowName } from '../queue/rounds.ts';
import { type Measure, type Sizes, takeTurns, type Variant } from '../queue/turns.ts';
import { clusterOf } from '../traffic/large-cluster.ts';
import { PodPair } from '../traffic/pod-pair.ts';
import { WirePair } from './wire-pair.ts';

const SIZES: Sizes = { rounds: 5, seconds: 5, roundTrips: 10_000, firstPackets: 2000 };
const QUICK: Sizes = { rounds: 1, seconds: 1, roundTrips: 2000, firstPackets: 500 };

const KERNEL = 'kernel only';
const QUEUE = 'queue, every packet';
const WIRE = 'wire';

const VARIANTS: readonly Variant[] = [
  { name: KERNEL, start: () => PodPair.create() },
  { name: QUEUE, start: () => PodPair.create({ flags: { offload: false }, snapshot: clusterOf(1) }) },
  { name: WIRE, start: () => WirePair.create(clusterOf(1)) },
];

const ROUND_TRIP = rowName('round trip', TWO_CORES.name);
const CONNECTIONS = rowName('connections/s', TWO_CORES.name);

const MEASURES: readonly Measure[] = [
  latency('round trip', TWO_CORES, ({ roundTrips }) => roundTrips),
  { name: 'TCP throughput', run: throughput },
  { name: 'UDP packets/s', run: datagrams },
  { name: 'half of the packets/s', run: halfOfDatagrams },
  connections(TWO_CORES),
];

export const bench: Bench = {
  obstacle: placedPairs,
  async run(context) {
    const sizes = context.quick ? QUICK : SIZES;
    const rounds = await takeTurns(context, VARIANTS, MEASURES, sizes);
    return {
      parameters: { ...sizes, variants: VARIANTS.map(({ name }) => name) },
      rows: [...comparisons(rounds), ...half(rounds, WIRE), ...rounds.rows(), ...rounds.failures()],
      curves: VARIANTS.map(({ name }) => rounds.curve(ROUND_TRIP, name)),
      notes: [
        'A packet between two pods of a node goes through two wires, one for each pod, and through one queue.',
        'All variants are measured one after the other in every round; a ratio compares two variants in one round, and the row is its median over the rounds.',
        'A pod on each of two cores; the processes of the wire, and the agent, are where the kernel puts them.',
      ],
    };
  },
  panels: ({ rows, curves: all }) => [
    curves(
      'Round trip between two pods, one flow',
      all.map((curve) => ({ ...curve, name: curve.name.replace(`${ROUND_TRIP}, `, '') })),
      'log',
    ),
    ...['TCP throughput', 'UDP packets/s', CONNECTIONS].map((value) =>
      bars(
        value,
        rows.filter(({ name }) => VARIANTS.some((variant) => name === rowName(value, variant.name))),
        { split: (name) => [name.slice(value.length + 2), ''] },
      ),
    ),
  ],
};

function comparisons(rounds: Rounds): MeasuredRow[] {
  return [rowName('round trip p50', TWO_CORES.name), 'TCP throughput', 'UDP packets/s', CONNECTIONS].flatMap((name) =>
    [KERNEL, QUEUE].map((other) =>
      row(
        `${name}, ${WIRE} / ${other}`,
        'ratio',
        rounds.compare(name, [WIRE, other], (one, two) => one / two),
      ),
    ),
  );
}
