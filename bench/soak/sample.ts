/** The state of agent and traffic in one interval, and the rows and curves of a series of them. */
import type { AgentMetrics } from '../../test/agent/running-agent.ts';
import { type Curve, type MeasuredRow, row, single } from '../harness/result.ts';
import { quantile, sorted } from '../harness/statistics.ts';
import type { Faring } from '../traffic/paced.ts';

export interface Sample {
  /** Minutes since the beginning. */
  readonly minute: number;
  /** Memory of the agent's process, in bytes. */
  readonly memory: number;
  /** Heap of its main thread, in bytes. */
  readonly heap: number;
  /** Flows in the workers' tables. */
  readonly flows: number;
  /** Quantiles of the first packets of new flows, in us; undefined if none was answered. */
  readonly p50: number | undefined;
  readonly p99: number | undefined;
  /**
   * Since the beginning: exchanges without an answer, lost datagrams of streams, packets dropped by
   * the queues.
   */
  readonly unanswered: number;
  readonly lost: number;
  readonly dropped: number;
}

export function ofMetrics(metrics: AgentMetrics): Pick<Sample, 'heap' | 'flows' | 'dropped'> {
  return {
    heap: metrics.sum('nodejs_heap_size_used_bytes'),
    flows: metrics.sum('podfence_flows'),
    dropped: metrics.sum('podfence_queue_dropped_packets_total'),
  };
}

export function ofFaring({ samples }: Faring): Pick<Sample, 'p50' | 'p99'> {
  const ascending = sorted(samples);
  const at = (share: number) => (ascending.length === 0 ? undefined : quantile(ascending, share));
  return { p50: at(0.5), p99: at(0.99) };
}

const MB = 1e6;

/** Name, field, unit, and the size of that unit in the field's unit. */
const LINES = [
  ['process', 'memory', 'MB', MB],
  ['heap of the main thread', 'heap', 'MB', MB],
  ['p50', 'p50', 'us', 1],
  ['p99', 'p99', 'us', 1],
  ['exchanges without an answer', 'unanswered', 'packets', 1],
  ['datagrams of streams', 'lost', 'packets', 1],
  ['dropped by the queues', 'dropped', 'packets', 1],
  ['flows', 'flows', 'flows', 1],
] as const;

export function curvesOf(samples: readonly Sample[]): Curve[] {
  return LINES.map(([name, field, y, size]) => ({
    name,
    x: 'minutes',
    y,
    points: samples.flatMap(({ minute, [field]: value }) =>
      value === undefined ? [] : [[minute, value / size] as const],
    ),
  }));
}

/** Suffixes that tell the time of a soak's row. */
export const START = 'at the start';
export const MIDDLE = 'in the middle';
export const END = 'at the end';

const GAUGES = [
  ['memory of the process', 'bytes', 'memory'],
  ['heap of the main thread', 'bytes', 'heap'],
  ['first packet p50', 'us', 'p50'],
  ['first packet p99', 'us', 'p99'],
  ['flows in the tables', 'flows', 'flows'],
] as const;

/** Counted since the beginning. */
const COUNTS = [
  ['exchanges without an answer so far', 'unanswered'],
  ['datagrams of streams lost so far', 'lost'],
  ['dropped by the queues so far', 'dropped'],
] as const;

/** The values that have a row for each of these times. */
export const OVER_TIME: readonly string[] = [...GAUGES, ...COUNTS].map(([what]) => what);

/**
 * Returns rows for the first tenth of the time, the middle tenth and the last. Counts are those at
 * the end of each tenth.
 */
export function rowsOf(samples: readonly Sample[]): MeasuredRow[] {
  const tenth = Math.max(1, Math.floor(samples.length / 10));
  const middle = Math.floor((samples.length - tenth) / 2);
  return (
    [
      [START, samples.slice(0, tenth)],
      [MIDDLE, samples.slice(middle, middle + tenth)],
      [END, samples.slice(-tenth)],
    ] as const
  ).flatMap(([when, some]) => [
    ...GAUGES.flatMap(([what, unit, field]) => {
      const values = some.flatMap((sample) => sample[field] ?? []);
      // A tenth may have no answered first packet.
      return values.length === 0 ? [] : [row(`${what}, ${when}`, unit, values)];
    }),
    ...COUNTS.map(([what, field]) => single(`${what}, ${when}`, 'packets', some.at(-1)?.[field] ?? 0)),
  ]);
}
