/**
 * Types of metrics: their names, and how a scrape reads them from the agent. Names and labels
 * follow https://prometheus.io/docs/practices/naming/ and
 * https://prometheus.io/docs/instrumenting/writing_exporters/.
 */
import type { AgentCounters, BucketCounts } from '../agent-state/counters.ts';
import type { AgentView, Readiness, SourceView } from './agent-view.ts';

/** What one scrape reads, all at one moment. */
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
  /** A number for a metric without labels; undefined for no series. */
  readonly read: (scrape: Scrape) => readonly Sample[] | number | undefined;
}

export interface HistogramMetric extends MetricBase {
  readonly type: 'histogram';
  readonly labels: readonly [];
  readonly read: (scrape: Scrape) => BucketCounts;
}

export type Metric = ValueMetric | HistogramMetric;
