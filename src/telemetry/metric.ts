/**
 * A metric as it is written down: what it is called, and how it is read from the agent when somebody scrapes. Names and labels follow
 * https://prometheus.io/docs/practices/naming/ and https://prometheus.io/docs/instrumenting/writing_exporters/.
 */
import type { AgentCounters, BucketCounts } from '../agent-state/counters.ts';
import type { AgentView, Readiness, SourceView } from './agent-view.ts';

/** What one scrape reads, all of one moment. */
export interface Scrape {
  readonly view: AgentView;
  readonly counters: AgentCounters;
  readonly readiness: Readiness;
  readonly source: SourceView;
}

/** Values of the labels, in the order of the metric's `labels`, and the value of the series. */
export type Sample = readonly [labels: readonly string[], value: number];

interface MetricBase {
  readonly name: string;
  readonly help: string;
}

export interface ValueMetric extends MetricBase {
  readonly type: 'counter' | 'gauge';
  readonly labels: readonly string[];
  /** One value for a metric without labels; undefined for no series. */
  readonly read: (scrape: Scrape) => readonly Sample[] | number | undefined;
}

export interface HistogramMetric extends MetricBase {
  readonly type: 'histogram';
  readonly labels: readonly [];
  readonly read: (scrape: Scrape) => BucketCounts;
}
