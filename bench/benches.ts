/**
 * All benchmarks, in the order in which they run: quick ones that need no root come first.
 * harness/bench.ts defines what a benchmark is.
 */
import type { Bench } from './harness/bench.ts';

export interface BenchEntry {
  /** One line for `--list`. */
  readonly summary: string;
  readonly load: () => Promise<{ readonly bench: Bench }>;
}

export const BENCHES: Readonly<Record<string, BenchEntry>> = {
  filter: {
    summary: 'what a verdict costs, without the kernel, by kind of packet, policies, pods and flows',
    load: () => import('./filter/bench.ts'),
  },
  compile: {
    summary: 'policies to table for a large cluster: all at once, event by event, and in bad shapes',
    load: () => import('./compile/bench.ts'),
  },
  replay: {
    summary: 'recorded captures: packets a second, and memory, from the file to the summary',
    load: () => import('./replay/bench.ts'),
  },
  package: {
    summary: 'what npm ships and installs, and what an import of the library loads',
    load: () => import('./package/bench.ts'),
  },
  queue: {
    summary: 'two pods on a node: latency, throughput and connections of the kernel alone and of podfence',
    load: () => import('./queue/bench.ts'),
  },
  wire: {
    summary: 'two pods whose cables are podfence: latency, throughput and connections beside the kernel and the queue',
    load: () => import('./wire/bench.ts'),
  },
  change: {
    summary: 'from an event at the API server to the first packet it affects, with 10,000 policies',
    load: () => import('./change/bench.ts'),
  },
  watch: {
    summary: 'the agent lists a cluster of 100,000 pods: time, memory, stalls, and packets meanwhile',
    load: () => import('./watch/bench.ts'),
  },
  soak: {
    summary: 'an hour of mixed traffic and changes: memory, latency and drops over time',
    load: () => import('./soak/bench.ts'),
  },
};
