/** Takes all measures of all variants, round by round. */
import type { BenchContext } from '../harness/bench.ts';
import { type Carrier, type MeasuredPair, withServers } from './measured-pair.ts';
import { type Outcome, Rounds } from './rounds.ts';

export interface Sizes {
  readonly rounds: number;
  /** Length of each throughput measurement. */
  readonly seconds: number;
  readonly roundTrips: number;
  /** Number of first packets, and of TCP handshakes. */
  readonly firstPackets: number;
}

export interface Turn {
  readonly round: number;
  readonly sizes: Sizes;
  readonly signal: AbortSignal;
  /** Returns a value that an earlier measure of this round produced for the same variant. */
  readonly measured: (name: string) => number;
}

export interface Measure {
  readonly name: string;
  /** Whether the measure applies to this variant. @default all */
  readonly concerns?: (variant: string) => boolean;
  readonly run: (pair: MeasuredPair, turn: Turn) => Promise<Outcome>;
}

export interface Variant {
  readonly name: string;
  start(): Promise<Carrier>;
}

/** In every round, takes each measure of all variants in direct succession. */
export async function takeTurns(
  { progress, signal }: BenchContext,
  variants: readonly Variant[],
  measures: readonly Measure[],
  sizes: Sizes,
): Promise<Rounds> {
  const rounds = new Rounds();
  await using stack = new AsyncDisposableStack();
  const pairs: [string, MeasuredPair][] = [];
  for (const [index, { name, start }] of variants.entries()) {
    signal.throwIfAborted();
    progress(`setting up: ${name}`, index + 1, variants.length);
    pairs.push([name, stack.use(await withServers(await start(), signal))]);
  }
  for (let round = 0; round < sizes.rounds; round++) {
    const order = orderOf(pairs, round);
    for (const { name, concerns = () => true, run } of measures) {
      progress(`${name}, round`, round + 1, sizes.rounds);
      for (const [variant, pair] of order) {
        signal.throwIfAborted();
        const measured = (value: string) => rounds.runs(value, variant)[round] as number;
        if (concerns(variant)) rounds.add(name, variant, await run(pair, { round, sizes, signal, measured }));
      }
    }
  }
  return rounds;
}

/**
 * Returns the order for a round. The first position, or the one after a certain variant, may be
 * better or worse: each round begins with another variant, and every second goes backwards.
 */
export function orderOf<T>(items: readonly T[], round: number): readonly T[] {
  const from = round % items.length;
  const rotated = [...items.slice(from), ...items.slice(0, from)];
  return round % 2 === 0 ? rotated : rotated.reverse();
}
