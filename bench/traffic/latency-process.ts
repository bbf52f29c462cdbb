/** Measures one kind of exchange with a pod, a given number of times. */
import { dieWithParent } from '../../src/sys/parent-death.ts';
import { answer } from '../harness/child.ts';
import { keepOnCores } from './core.ts';
import { ask, askOnNewFlow, shakeHands, type Target } from './exchanges.ts';
import { SourcePorts, udpTo } from './sockets.ts';

export interface LatencyInput extends Target {
  /**
   * `round trip`: a datagram and its answer, all on one flow. `first packet`: the same, each on a
   * new flow. `handshake`: a TCP handshake, each on a new connection.
   */
  readonly what: 'round trip' | 'first packet' | 'handshake';
  readonly count: number;
  /**
   * Source port of the first UDP flow; the others follow. None may be used twice while the kernel
   * remembers its flow.
   */
  readonly sourcePort: number;
  /** The core to run on. @default where the kernel puts it */
  readonly core?: number;
}

export interface Latencies {
  /** Microseconds, in the order of measurement. */
  readonly samples: Float64Array;
  /** Exchanges without an answer. */
  readonly lost: number;
}

/** Lets V8 compile the generator's code, and fills the caches. */
const WARM_UP = 500;

answer((input: LatencyInput) => {
  dieWithParent(process.ppid);
  if (input.core !== undefined) keepOnCores([input.core], process.pid);
  return measure(input);
});

function measure(input: LatencyInput): Latencies {
  const { what, address, port, count, sourcePort } = input;
  if (what === 'handshake') return repeat(count, () => shakeHands(input));
  if (what === 'first packet') {
    const ports = new SourcePorts({ first: sourcePort, count: Math.min(WARM_UP, count) + count });
    return repeat(count, () => askOnNewFlow(input, ports));
  }
  const fd = udpTo(address, port, sourcePort);
  return repeat(count, () => ask(fd));
}

function repeat(count: number, once: () => number): Latencies {
  const warmUp = Math.min(WARM_UP, count);
  const samples = new Float64Array(count);
  let answered = 0;
  for (let index = 0; index < warmUp + count; index++) {
    const latency = once();
    if (index >= warmUp && latency >= 0) samples[answered++] = latency;
  }
  return { samples: samples.slice(0, answered), lost: count - answered };
}
