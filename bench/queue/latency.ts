/** How long one exchange takes, on a known flow and as the first of a flow. */
import { inChild } from '../harness/child.ts';
import { quantile, sorted } from '../harness/statistics.ts';
import type { Latencies, LatencyInput } from '../traffic/latency-process.ts';
import { SERVER_ADDRESS } from '../traffic/pod-pair.ts';
import { ECHO_PORT, HTTP_PORT } from './measured-pair.ts';
import { ONE_CORE, type Placement, place } from './placement.ts';
import { rowName, type Value } from './rounds.ts';
import type { Measure, Sizes } from './turns.ts';

const LATENCY = new URL('../traffic/latency-process.ts', import.meta.url);
/**
 * Every measurement uses this many source ports, warm-up included, and no later round uses them
 * again: the kernel remembers flows for a while.
 */
const FIRST_SOURCE_PORT = 10_000;
const SOURCE_PORTS = 2500;
const QUANTILES = [0.5, 0.99, 0.999];
/** With fewer samples the last quantile would mean nothing. */
const MANY_SAMPLES = 10_000;

/** Measures one kind of exchange. Rows and curve are named after it and the placement. */
export function latency(what: LatencyInput['what'], placement: Placement, countOf: (sizes: Sizes) => number): Measure {
  const name = rowName(what, placement.name);
  return {
    name,
    async run(pair, { round, sizes, signal }) {
      place(pair, placement);
      const input: LatencyInput = {
        what,
        address: SERVER_ADDRESS,
        port: what === 'handshake' ? HTTP_PORT : ECHO_PORT,
        count: countOf(sizes),
        sourcePort: FIRST_SOURCE_PORT + SOURCE_PORTS * (2 * round + (placement === ONE_CORE ? 0 : 1)),
        core: placement.client,
      };
      const { samples, lost } = await pair.client.netns.run(() => inChild<Latencies>(LATENCY, input, { signal }));
      // Depends on how many exchanges were requested: a round with an answer less has the same rows
      // as the others.
      const quantiles = QUANTILES.filter((share) => share <= 0.99 || input.count >= MANY_SAMPLES);
      return { values: quantilesOf(samples, quantiles, what, placement.name), samples, failed: lost };
    },
  };
}

/** Returns quantiles named `<what> p<percent>, <where>`. */
export function quantilesOf(
  samples: Iterable<number>,
  shares: readonly number[],
  what: string,
  where: string,
): readonly Value[] {
  const ascending = sorted(samples);
  return shares.map((share) => ({
    name: rowName(`${what} p${Number((100 * share).toFixed(1))}`, where),
    unit: 'us',
    value: quantile(ascending, share),
  }));
}
