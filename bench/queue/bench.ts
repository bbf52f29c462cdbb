/** `npm run bench queue`: what podfence costs the packets between two pods of a node, beside the kernel alone. */
import type { Bench, BenchContext } from '../harness/bench.ts';
import { type BarPanel, bars, type CurvePanel, curves } from '../harness/panels.ts';
import { command, requirement, rootOnLinux } from '../harness/requirements.ts';
import { type BenchResult, type MeasuredRow, row, single } from '../harness/result.ts';
import type { PodPair } from '../traffic/pod-pair.ts';
import { MEASURES, type Sizes } from './measures.ts';
import { Rounds, rowName } from './rounds.ts';
import { CONNTRACK, EVERY_PACKET, KERNEL, MANY, OFFLOAD, VARIANTS } from './variants.ts';

const SIZES: Sizes = { rounds: 3, seconds: 3, roundTrips: 20_000, firstPackets: 3000 };
const QUICK: Sizes = { rounds: 1, seconds: 1, roundTrips: 2000, firstPackets: 500 };

/** Those with a distribution. */
const LATENCIES = ['round trip', 'first packet'];

export const bench: Bench = {
  obstacle: () => requirement(rootOnLinux, command('iperf3'), command('wrk'), command('iptables')),
  async run(context) {
    const sizes = context.quick ? QUICK : SIZES;
    const rounds = await measure(context, sizes);
    return {
      parameters: { ...sizes, variants: VARIANTS.map(({ name }) => name) },
      rows: [...comparisons(rounds), ...rounds.rows(), ...failures(rounds)],
      curves: LATENCIES.flatMap((name) => VARIANTS.map((variant) => rounds.curve(name, variant.name))),
      notes: [
        'All variants are measured one after the other in every round; a ratio is that of one round, and its value the median of the rounds.',
        'One UDP flow goes through one queue, whatever their number. Of CPU per packet, the generators have their part in every variant.',
        '"Round trip between cores" is the kernel alone with a pod on each of two cores: what it costs here to wake somebody on another core.',
      ],
    };
  },
  panels: (result) => [
    cumulativePanel(result, 'Round trip between two pods, one flow', 'round trip'),
    cumulativePanel(result, 'The same, each on a new flow: its first packet', 'first packet'),
    barPanel(result, 'connections/s'),
    barPanel(result, 'UDP packets/s'),
    barPanel(result, 'TCP throughput'),
    barPanel(result, 'CPU per packet'),
  ],
};

async function measure({ progress, signal }: BenchContext, sizes: Sizes): Promise<Rounds> {
  const rounds = new Rounds();
  await using stack = new AsyncDisposableStack();
  const pairs = new Map<string, PodPair>();
  for (const [index, { name, start }] of VARIANTS.entries()) {
    signal.throwIfAborted();
    progress(`setting up: ${name}`, index + 1, VARIANTS.length);
    pairs.set(name, stack.use(await start()));
  }
  for (let round = 0; round < sizes.rounds; round++) {
    for (const { name, concerns = () => true, run } of MEASURES) {
      progress(`${name}, round`, round + 1, sizes.rounds);
      for (const [variant, pair] of rotated([...pairs], round)) {
        signal.throwIfAborted();
        if (concerns(variant)) rounds.add(name, variant, await run(pair, { round, sizes, signal }));
      }
    }
  }
  return rounds;
}

/** Each round begins with another one, for what comes first may have it better or worse. */
function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const from = by % items.length;
  return [...items.slice(from), ...items.slice(0, from)];
}

function comparisons(rounds: Rounds): MeasuredRow[] {
  const ratio = (name: string, one: string, other: string, title = `${name}, ${one} / ${other}`) =>
    row(
      title,
      'ratio',
      rounds.compare(name, [one, other], (a, b) => a / b),
    );
  const added = (quantile: string, variant: string, title: string) =>
    row(
      title,
      'us',
      rounds.compare(`first packet ${quantile}`, [variant, CONNTRACK], (a, b) => a - b),
    );
  const lost = rounds.runs('UDP lost at half the rate', EVERY_PACKET);
  const total = lost.reduce((sum, each) => sum + each, 0);
  return [
    ...[OFFLOAD, EVERY_PACKET].flatMap((variant) => [
      ratio('connections/s', variant, CONNTRACK),
      ratio('connections/s', variant + MANY, variant),
    ]),
    ratio('UDP packets/s', EVERY_PACKET, KERNEL, 'UDP packets/s, one queue / kernel only'),
    ratio('UDP packets/s', EVERY_PACKET + MANY, EVERY_PACKET),
    single('UDP drops at half the rate of one queue', 'packets', total, [Math.min(...lost), Math.max(...lost)]),
    added('p50', OFFLOAD, 'added to the first packet, p50'),
    added('p99', OFFLOAD, 'added to the first packet, p99'),
    added('p50', OFFLOAD + MANY, 'added to the first packet, p50, 10,000 policies'),
    added('p99', OFFLOAD + MANY, 'added to the first packet, p99, 10,000 policies'),
    ratio('TCP throughput', OFFLOAD, CONNTRACK),
    ratio('TCP throughput', EVERY_PACKET, CONNTRACK),
  ];
}

function failures(rounds: Rounds): MeasuredRow[] {
  return [...rounds.failures].map(([measure, count]) =>
    single(`${measure}: without an answer, all variants`, 'times', count),
  );
}

function cumulativePanel({ curves: all }: BenchResult, title: string, measure: string): CurvePanel {
  const shown = all
    .filter(({ name }) => name.startsWith(`${measure}, `))
    .map((curve) => ({ ...curve, name: curve.name.slice(`${measure}, `.length) }));
  return curves(title, shown, 'log');
}

function barPanel({ rows }: BenchResult, value: string): BarPanel {
  const names = VARIANTS.map(({ name }) => rowName(value, name));
  return bars(
    value,
    rows.filter(({ name }) => names.includes(name)),
    { split: (name) => [name.slice(value.length + 2), ''] },
  );
}
