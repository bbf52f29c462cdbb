/** How the agent and the traffic fared in one interval, and what a series of them tells. */
import type { AgentMetrics } from '../../test/agent/running-agent.ts';
import { type Curve, type MeasuredRow, row, single } from '../harness/result.ts';
import { quantile, sorted } from '../harness/statistics.ts';
import type { Faring } from '../traffic/paced.ts';

export interface Sample {
  /** Minutes since the beginning. */
  readonly minute: number;
  /** Of the agent's process, in bytes. */
  readonly memory: number;
  /** Of its main thread, in bytes. */
  readonly heap: number;
  /** In the workers' tables. */
  readonly flows: number;
  /** First packets of new flows, in us; undefined where none was answered. */
  readonly p50: number | undefined;
  readonly p99: number | undefined;
  /** Since the beginning: exchanges without an answer, datagrams of streams that were lost, packets that the queues dropped. */
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

/** Name, field, unit, and how much of the field's own unit that is. */
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

/** When a row of the soak is of, behind its name. */
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

/** Since the beginning. */
const COUNTS = [
  ['exchanges without an answer so far', 'unanswered'],
  ['datagrams of streams lost so far', 'lost'],
  ['dropped by the queues so far', 'dropped'],
] as const;

/** What there is a row of at each of these times. */
export const OVER_TIME: readonly string[] = [...GAUGES, ...COUNTS].map(([what]) => what);

/** The first tenth of the time, the one in the middle, and the last; of what is counted, how much it was at their ends. */
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
      // In a moment no first packet may have been answered.
      return values.length === 0 ? [] : [row(`${what}, ${when}`, unit, values)];
    }),
    ...COUNTS.map(([what, field]) => single(`${what}, ${when}`, 'packets', some.at(-1)?.[field] ?? 0)),
  ]);
}
