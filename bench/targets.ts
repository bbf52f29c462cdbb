/**
 * What one run on the development machine should reach. `row` is the name of the row in the
 * benchmark's file.
 */
import type { Bound } from './harness/result.ts';

/** A target without a bound is a figure that the table shows. */
export interface Target extends Bound {
  readonly bench: string;
  readonly row: string;
  readonly unit: string;
  /** Its name in the table of bench/README.md. */
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
    row: 'allocated, all kinds of packet',
    unit: 'bytes/million packets',
    // Reading the heap itself allocates a number or two.
    what: 'allocation on the packet path (an object for each of a thousand packets would be 16,000)',
    atMost: 1000,
  },
  {
    bench: 'queue',
    row: 'connections/s, two cores, offload / kernel with conntrack',
    unit: 'ratio',
    what: 'connections/s, offload, against kernel with connection tracking',
    atLeast: 0.97,
  },
  {
    bench: 'queue',
    row: 'connections/s, one core, offload / kernel with conntrack',
    unit: 'ratio',
    what: 'connections/s, offload, everything on one core',
  },
  {
    bench: 'queue',
    row: 'connections/s, two cores, every packet / kernel with conntrack',
    unit: 'ratio',
    what: 'connections/s, every packet',
    atLeast: 0.85,
  },
  {
    bench: 'queue',
    row: 'connections/s, two cores, queue floor / kernel with conntrack',
    unit: 'ratio',
    what: 'connections/s, queue floor',
  },
  {
    bench: 'queue',
    row: 'connections/s, one core, every packet / kernel with conntrack',
    unit: 'ratio',
    what: 'connections/s, every packet, everything on one core',
  },
  {
    bench: 'queue',
    row: 'connections/s, one core, queue floor / kernel with conntrack',
    unit: 'ratio',
    what: 'connections/s, queue floor, everything on one core',
  },
  {
    bench: 'queue',
    row: 'UDP packets/s, every packet / kernel only',
    unit: 'ratio',
    what: 'UDP packets/s through one queue against kernel only',
    atLeast: 0.7,
  },
  {
    bench: 'queue',
    row: 'UDP packets/s, queue floor / kernel only',
    unit: 'ratio',
    what: 'UDP packets/s through one queue, queue floor',
  },
  {
    bench: 'queue',
    row: 'half of the packets/s, every packet',
    unit: 'packets/s',
    what: 'half of what one queue carries',
  },
  {
    bench: 'queue',
    row: 'lost at half of the packets/s, every packet',
    unit: 'packets',
    what: 'packets lost at that rate',
    atMost: 0,
  },
  {
    bench: 'queue',
    row: 'added to the first packet, p50, two cores, offload',
    unit: 'us',
    what: 'added to the first packet, p50',
    atMost: 30,
  },
  {
    bench: 'queue',
    row: 'added to the first packet, p99, two cores, offload',
    unit: 'us',
    what: 'added to the first packet, p99',
    atMost: 150,
  },
  {
    bench: 'queue',
    row: 'added to the first packet, p50, one core, offload',
    unit: 'us',
    what: 'added to the first packet, everything on one core, p50',
  },
  {
    bench: 'queue',
    row: 'added to the first packet, p99, one core, offload',
    unit: 'us',
    what: 'added to the first packet, everything on one core, p99',
  },
  {
    bench: 'queue',
    row: 'added to the first packet, p50, two cores, 500 a second, offload',
    unit: 'us',
    what: 'added to the first packet, 500 a second, p50',
  },
  {
    bench: 'queue',
    row: 'added to the first packet, p99, two cores, 500 a second, offload',
    unit: 'us',
    what: 'added to the first packet, 500 a second, p99',
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
    row: 'one event, p99 of the slowest kind, without sweeping selectors',
    unit: 'ms',
    what: 'one event on it, p99 on the main thread (without new selectors of much of the cluster)',
    atMost: 2,
  },
  {
    bench: 'compile',
    row: 'a sweeping selector, p99 of the slowest kind',
    unit: 'ms',
    what: 'a new selector of much of the cluster, p99 on the main thread',
  },
  {
    bench: 'compile',
    row: 'a sweeping selector, longest turn, p99 of the slowest kind',
    unit: 'ms',
    what: 'its longest time on the main thread without a pause, p99',
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
    row: 'half of the packets/s, wire',
    unit: 'packets/s',
    what: 'half of what the wire carries',
  },
  {
    bench: 'wire',
    row: 'lost at half of the packets/s, wire',
    unit: 'packets',
    what: 'packets that the wire loses at that rate',
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
  {
    bench: 'watch',
    row: 'first packet p99, while listing again',
    unit: 'us',
    what: 'first packet of a flow while they are listed again, p99',
  },
  { bench: 'change', row: 'change to enforcement, p99', unit: 'ms', what: 'change to enforcement, p99', atMost: 100 },
];

/** @returns undefined if the row has no target */
export function targetOf(bench: string, row: string): Target | undefined {
  return TARGETS.find((target) => target.bench === bench && target.row === row);
}
