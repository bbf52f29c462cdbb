/** Exchanges with a pod at a steady pace, in turns of every way, for as long as it lives; it reports how they fared since the last report. */
import { setTimeout as delay } from 'node:timers/promises';
import { dieWithParent } from '../../src/sys/parent-death.ts';
import { answer, report } from '../harness/child.ts';
import { ask, askOnNewFlow, shakeHands, type Target } from './exchanges.ts';
import type { Fared, Faring, PacedInput, Way } from './paced.ts';
import { udpTo } from './sockets.ts';

const FIRST_PORT = 10_000;
const PORTS = 50_000;
/** Of the steady flow, below those. */
const STEADY_PORT = 9_999;

answer(async ({ ways, address, port, tcpPort, perSecond, reportEvery }: PacedInput) => {
  dieWithParent(process.ppid);
  const target: Target = { address, port };
  const steady = ways.includes('steady flow') ? udpTo(address, port, STEADY_PORT) : -1;
  let flows = 0;
  const exchange: Readonly<Record<Way, () => number>> = {
    'new flow': () => askOnNewFlow(target, FIRST_PORT + (flows++ % PORTS)),
    'steady flow': () => ask(steady),
    handshake: () => shakeHands({ address, port: tcpPort }),
  };
  let fared = nothing(ways);
  let reported = performance.now();
  let next = reported;
  for (;;) {
    for (const way of ways) {
      const latency = exchange[way]();
      const of = fared[way];
      if (of === undefined) continue;
      if (Number.isNaN(latency)) of.lost++;
      else of.samples.push(latency);
    }
    next = Math.max(next + 1000 / perSecond, performance.now() - 100);
    const now = performance.now();
    if (now - reported >= reportEvery) {
      report(fared satisfies Fared);
      fared = nothing(ways);
      reported = now;
    }
    if (next > now) await delay(next - now);
  }
});

function nothing(ways: readonly Way[]): Fared {
  return Object.fromEntries(ways.map((way): [Way, Faring] => [way, { samples: [], lost: 0 }]));
}
