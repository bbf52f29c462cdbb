/** What is to be reached on the development machine in one run. `row` is the name of the row in the benchmark's file. */
import type { Bound } from './harness/result.ts';

export interface Target extends Bound {
  readonly bench: string;
  readonly row: string;
  readonly unit: string;
  /** What the table of README.md calls it. */
  readonly what: string;
}

export const TARGETS: readonly Target[] = [
  {
    bench: 'filter',
    row: 'established TCP, 1,000 flows',
    unit: 'ns',
    what: 'established flow, decode to verdict, 1,000 flows',
    atMost: 100,
  },
  {
    bench: 'filter',
    row: 'established TCP, 1,000,000 flows',
    unit: 'ns',
    what: 'the same, 1,000,000 flows',
    atMost: 300,
  },
  {
    bench: 'filter',
    row: 'new flow allowed, 1,000 flows',
    unit: 'ns',
    what: 'new flow judged and inserted',
    atMost: 400,
  },
  {
    bench: 'filter',
    row: '10,000 policies / 1, new flow allowed',
    unit: 'ratio',
    what: '10,000 policies against 1',
    atMost: 1.2,
  },
  {
    bench: 'filter',
    row: 'allocated, established TCP',
    unit: 'bytes/million packets',
    what: 'allocation on the packet path',
    atMost: 0,
  },
  {
    bench: 'queue',
    row: 'connections/s, offload / kernel with conntrack',
    unit: 'ratio',
    what: 'connections/s, offload, against kernel with connection tracking',
    atLeast: 0.97,
  },
  {
    bench: 'queue',
    row: 'connections/s, every packet / kernel with conntrack',
    unit: 'ratio',
    what: 'connections/s, every packet',
    atLeast: 0.85,
  },
  {
    bench: 'queue',
    row: 'UDP packets/s, one queue / kernel only',
    unit: 'ratio',
    what: 'UDP packets/s through one queue against kernel only',
    atLeast: 0.7,
  },
  {
    bench: 'queue',
    row: 'UDP drops at half the rate of one queue',
    unit: 'packets',
    what: 'drops at half that rate',
    atMost: 0,
  },
  {
    bench: 'queue',
    row: 'added to the first packet, p50',
    unit: 'us',
    what: 'added to the first packet, p50',
    atMost: 30,
  },
  {
    bench: 'queue',
    row: 'added to the first packet, p99',
    unit: 'us',
    what: 'added to the first packet, p99',
    atMost: 150,
  },
  { bench: 'compile', row: 'full compile', unit: 'ms', what: 'full compile of the large cluster', atMost: 2000 },
  {
    bench: 'compile',
    row: 'peak memory of the process',
    unit: 'bytes',
    what: 'process memory meanwhile',
    atMost: 500e6,
  },
  {
    bench: 'compile',
    row: 'one event, all kinds, p99',
    unit: 'ms',
    what: 'one event on it, p99 on the main thread',
    atMost: 2,
  },
  {
    bench: 'replay',
    row: 'packets/s, connections',
    unit: 'packets/s',
    what: 'packets of a recorded capture in a second',
    atLeast: 1e6,
  },
  {
    bench: 'wire',
    row: 'UDP lost by the wire at half its rate',
    unit: 'packets',
    what: 'packets that the wire loses at half its rate',
    atMost: 0,
  },
  {
    bench: 'watch',
    row: 'peak memory of the process',
    unit: 'bytes',
    what: '100,000 pods listed, process memory',
    atMost: 400e6,
  },
  {
    bench: 'watch',
    row: 'longest stall of the main thread',
    unit: 'ms',
    what: 'longest stall of the main thread meanwhile',
    atMost: 50,
  },
  { bench: 'change', row: 'change to enforcement, p99', unit: 'ms', what: 'change to enforcement, p99', atMost: 100 },
];

/** @returns undefined where the row has no target */
export function targetOf(bench: string, row: string): Target | undefined {
  return TARGETS.find((target) => target.bench === bench && target.row === row);
}
