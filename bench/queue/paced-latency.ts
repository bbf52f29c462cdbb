/**
 * First packets as on a quiet node: with a pause between any two, so that whatever handles them has
 * gone to sleep in between.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { PacedTraffic } from '../traffic/paced.ts';
import { quantilesOf } from './latency.ts';
import { ECHO_PORT, HTTP_PORT } from './measured-pair.ts';
import { place, TWO_CORES } from './placement.ts';
import { rowName } from './rounds.ts';
import type { Measure } from './turns.ts';

const PER_SECOND = 500;
const SECONDS = 2;
/** Lets V8 compile the generator's code, and fills the caches. */
const WARM_UP_SECONDS = 0.5;
const REPORT_EVERY = 50;

/** Placement and pace, as rows name them. */
export const EVENLY_SPACED = rowName(TWO_CORES.name, `${PER_SECOND} a second`);

/** @param variants the variants to measure: each takes longer than most measures */
export function pacedFirstPackets(variants: readonly string[]): Measure {
  return {
    name: rowName('first packet', EVENLY_SPACED),
    concerns: (variant) => variants.includes(variant),
    async run(pair, { signal }) {
      place(pair, TWO_CORES);
      const ports = { port: ECHO_PORT, tcpPort: HTTP_PORT };
      const pace = { ways: ['new flow'], perSecond: PER_SECOND, reportEvery: REPORT_EVERY } as const;
      using traffic = new PacedTraffic(pair, { ...ports, ...pace, core: TWO_CORES.client }, signal);
      const pass = (seconds: number) => Promise.race([delay(1000 * seconds, undefined, { signal }), traffic.ended]);
      await traffic.began;
      await pass(WARM_UP_SECONDS);
      traffic.take('new flow');
      await pass(SECONDS);
      const { samples, lost } = traffic.take('new flow');
      return { values: quantilesOf(samples, [0.5, 0.99], 'first packet', EVENLY_SPACED), failed: lost };
    },
  };
}
