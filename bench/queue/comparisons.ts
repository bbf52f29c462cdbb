/** Compares the variants with one another, round by round. */
import { type MeasuredRow, row, total } from '../harness/result.ts';
import { HALF_RATE, LOST_AT_HALF } from './measures.ts';
import { EVENLY_SPACED } from './paced-latency.ts';
import { ONE_CORE, TWO_CORES } from './placement.ts';
import { type Rounds, rowName } from './rounds.ts';
import { CONNTRACK, EVERY_PACKET, FLOOR, KERNEL, MANY, OFFLOAD } from './variants.ts';

const PLACEMENTS = [ONE_CORE, TWO_CORES].map(({ name }) => name);

export function comparisons(rounds: Rounds): MeasuredRow[] {
  const ratio = (name: string, one: string, other: string) =>
    row(
      `${name}, ${one} / ${other}`,
      'ratio',
      rounds.compare(name, [one, other], (a, b) => a / b),
    );
  const connections = (placement: string, one: string, other: string) =>
    ratio(rowName('connections/s', placement), one, other);
  const added = (quantile: string, placement: string, variant: string) =>
    row(
      `added to the first packet, ${quantile}, ${placement}, ${variant}`,
      'us',
      rounds.compare(rowName(`first packet ${quantile}`, placement), [variant, CONNTRACK], (a, b) => a - b),
    );
  return [
    ...PLACEMENTS.flatMap((placement) =>
      [OFFLOAD, EVERY_PACKET].flatMap((variant) => [
        connections(placement, variant, CONNTRACK),
        connections(placement, variant + MANY, variant),
      ]),
    ),
    ratio('UDP packets/s', EVERY_PACKET, KERNEL),
    ratio('UDP packets/s', EVERY_PACKET + MANY, EVERY_PACKET),
    ...half(rounds, EVERY_PACKET),
    ...PLACEMENTS.flatMap((placement) =>
      [OFFLOAD, OFFLOAD + MANY].flatMap((variant) =>
        ['p50', 'p99'].map((quantile) => added(quantile, placement, variant)),
      ),
    ),
    ...['p50', 'p99'].map((quantile) => added(quantile, EVENLY_SPACED, OFFLOAD)),
    ratio('TCP throughput', OFFLOAD, CONNTRACK),
    ratio('TCP throughput', EVERY_PACKET, CONNTRACK),
    ...(rounds.has(FLOOR)
      ? [
          ratio('UDP packets/s', FLOOR, KERNEL),
          ratio('UDP packets/s', EVERY_PACKET, FLOOR),
          ...PLACEMENTS.flatMap((placement) => [
            connections(placement, FLOOR, CONNTRACK),
            connections(placement, EVERY_PACKET, FLOOR),
            ratio(rowName('round trip p50', placement), EVERY_PACKET, FLOOR),
            ratio(rowName('first packet p50', placement), EVERY_PACKET, FLOOR),
          ]),
          ratio('TCP throughput', EVERY_PACKET, FLOOR),
          ratio('CPU of who answers, at full load, per packet', EVERY_PACKET, FLOOR),
        ]
      : []),
  ];
}

/**
 * What a variant loses at half of its highest rate, over all rounds, and what that rate is in
 * packets a second.
 */
export function half(rounds: Rounds, variant: string): MeasuredRow[] {
  return [
    row(`half of the packets/s, ${variant}`, 'packets/s', rounds.runs(HALF_RATE, variant)),
    total(`lost at half of the packets/s, ${variant}`, 'packets', rounds.runs(LOST_AT_HALF, variant)),
  ];
}
