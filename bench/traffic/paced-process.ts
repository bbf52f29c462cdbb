/**
 * Exchanges with a pod at a steady pace, each way in turn, until it is killed. Reports what
 * happened since the last report.
 */
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { dieWithParent } from '../../src/sys/parent-death.ts';
import { answer, report } from '../harness/child.ts';
import { keepOnCores } from './core.ts';
import { ask, askOnNewFlow, shakeHands, type Target } from './exchanges.ts';
import type { Fared, Faring, PacedInput, Way } from './paced.ts';
import { SourcePorts, udpTo } from './sockets.ts';

const SOURCE_PORTS = { first: 10_000, count: 50_000 };
/** Source port of the steady flow, below those of new flows. */
const STEADY_PORT = 9_999;

answer(async (input: PacedInput) => {
  const { ways, address, port, tcpPort, perSecond, reportEvery } = input;
  dieWithParent(process.ppid);
  if (input.core !== undefined) keepOnCores([input.core], process.pid);
  const target: Target = { address, port };
  const steady = ways.includes('steady flow') ? udpTo(address, port, STEADY_PORT) : -1;
  const ports = new SourcePorts(input.sourcePorts ?? SOURCE_PORTS);
  const exchange: Readonly<Record<Way, () => number>> = {
    'new flow': () => askOnNewFlow(target, ports),
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
    // Yields even if it is late, so that reports are sent.
    await (next > now ? delay(next - now) : setImmediate());
  }
});

function nothing(ways: readonly Way[]): Fared {
  return Object.fromEntries(ways.map((way): [Way, Faring] => [way, { samples: [], lost: 0 }]));
}
