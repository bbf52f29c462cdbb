/**
 * `npm run bench queue`: what podfence costs packets between two pods of a node, compared to the
 * kernel alone and to the least that the kernel's queue can cost.
 */
import type { Bench } from '../harness/bench.ts';
import { type BarPanel, bars, type CurvePanel, curves } from '../harness/panels.ts';
import type { BenchResult } from '../harness/result.ts';
import { comparisons } from './comparisons.ts';
import { floorObstacle } from './floor.ts';
import { MEASURES } from './measures.ts';
import { ONE_CORE, placedPairs, TWO_CORES } from './placement.ts';
import { rowName } from './rounds.ts';
import { type Sizes, takeTurns } from './turns.ts';
import { FLOOR, VARIANTS } from './variants.ts';

const SIZES: Sizes = { rounds: 10, seconds: 1, roundTrips: 10_000, firstPackets: 2000 };
const QUICK: Sizes = { rounds: 1, seconds: 1, roundTrips: 2000, firstPackets: 500 };

/** The measures with a distribution. */
const LATENCIES = [ONE_CORE, TWO_CORES].flatMap(({ name }) =>
  ['round trip', 'first packet'].map((what) => rowName(what, name)),
);

export const bench: Bench = {
  obstacle: placedPairs,
  async run(context) {
    const sizes = context.quick ? QUICK : SIZES;
    const noFloor = floorObstacle();
    const variants = VARIANTS.filter(({ name }) => noFloor === undefined || name !== FLOOR);
    const rounds = await takeTurns(context, variants, MEASURES, sizes);
    return {
      parameters: { ...sizes, variants: variants.map(({ name }) => name) },
      rows: [...comparisons(rounds), ...rounds.rows(), ...rounds.failures()],
      curves: LATENCIES.flatMap((name) => variants.map((variant) => rounds.curve(name, variant.name))),
      notes: [
        'All variants are measured one after the other in every round; a ratio compares two variants in one round, and the row is its median over the rounds.',
        'One core: pods, servers and the process that answers the queue share one. Two cores: a pod on each, and the process that answers is where the kernel puts it. Rows that name neither are of two cores.',
        'First packets follow one another closely; at "500 a second" they are evenly spaced, and cores and the queue\'s thread sleep in between.',
        'Losses and missing answers are summed over all rounds.',
        "CPU per packet is the run time of the threads (sender, receiver, all of the agent). The kernel's work for a packet counts for the thread that runs at that moment; in interrupts of an idle core it counts for none.",
        'Shares in system calls are counted in timer ticks (about 4 ms), everything else by nanosecond clocks.',
        ...(noFloor === undefined ? [] : [`"${FLOOR}" is not measured: it ${noFloor}. So are the ratios against it.`]),
      ],
    };
  },
  panels: (result) => [
    ...LATENCIES.map((name) => cumulativePanel(result, name)),
    ...['connections/s, two cores', 'connections/s, one core', 'UDP packets/s', 'TCP throughput', 'CPU per packet'].map(
      (value) => barPanel(result, value),
    ),
  ],
};

function cumulativePanel({ curves: all }: BenchResult, measure: string): CurvePanel {
  const shown = all
    .filter(({ name }) => name.startsWith(`${measure}, `))
    .map((curve) => ({ ...curve, name: curve.name.slice(`${measure}, `.length) }));
  return curves(`Between two pods: ${measure}`, shown, 'log');
}

function barPanel({ rows }: BenchResult, value: string): BarPanel {
  const names = VARIANTS.map(({ name }) => rowName(value, name));
  return bars(
    value,
    rows.filter(({ name }) => names.includes(name)),
    { split: (name) => [name.slice(value.length + 2), ''] },
  );
}
