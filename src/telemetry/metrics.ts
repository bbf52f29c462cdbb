/**
 * The agent's metrics for Prometheus. The packet path counts in its own memory, and a scrape copies
 * the counts into the metrics, so that packets never pay for them.
 */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ChangeTimes } from '../agent-state/change-times.ts';
import type { AgentView } from './agent-view.ts';
import { countedHistogram } from './counted-histogram.ts';
import type { Sample, Scrape, ValueMetric } from './metric.ts';
import { PACKET_METRICS } from './packet-metrics.ts';
import { BoundedPolicyFlows, DEFAULT_POLICY_CAP } from './policy-flows.ts';
import { POLICY_METRICS } from './policy-metrics.ts';

export interface MetricsOptions {
  /** Most policies with series of their own, if the view has flows by policy. @default 500 */
  readonly policyCap?: number;
}

/** A change that came into force, and when. */
export interface LastChange extends ChangeTimes {
  readonly at: Date;
}

/** In seconds, finest around the promised 100 ms from an event to its enforcement. */
const CHANGE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/**
 * Defaults of prom-client that are left out:
 * - metrics that rest on undocumented functions of Node (nodejs_active_resources has the same by
 *   type)
 * - gauges with names that end like those of counters
 * - delays of the event loop: each scrape resets them, so two scrapers would take them from each
 *   other, and they are NaN if none was measured
 */
const UNWANTED_DEFAULTS = [
  'nodejs_active_handles',
  'nodejs_active_handles_total',
  'nodejs_active_requests',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
  ...['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'].map((each) => `nodejs_eventloop_lag_${each}_seconds`),
];

/** In ms: prom-client measures those delays anyway, so this makes it measure them rarely. */
const UNUSED_EVENT_LOOP_PRECISION = 60_000;

const BUILD_INFO: ValueMetric = {
  name: 'podfence_build_info',
  type: 'gauge',
  labels: ['version', 'node_version'],
  help: 'Always 1; the versions of podfence and of Node.js.',
  read: ({ view }) => [[[view.version, process.versions.node], 1]],
};

const LOG_LINES_LOST: ValueMetric = {
  name: 'podfence_log_lines_lost_total',
  type: 'counter',
  labels: [],
  help: 'Log lines that could not be written, because the disk is full or the reader is gone.',
  read: ({ view }) => view.logLinesLost?.() ?? 0,
};

export class Metrics {
  readonly #view: AgentView;
  readonly #registry = new Registry();
  readonly #compile: Histogram;
  readonly #enforcement: Histogram;
  readonly #changedRecords: Counter;
  #lastChange: LastChange | undefined;
  /** What the metrics read; set before any of them reads. */
  #scrape!: Scrape;

  constructor(view: AgentView, options: MetricsOptions = {}) {
    this.#view = view;
    const registers = [this.#registry];
    for (const metric of [BUILD_INFO, LOG_LINES_LOST, ...POLICY_METRICS, ...PACKET_METRICS]) {
      if (metric.type === 'histogram') {
        this.#registry.registerMetric(countedHistogram(metric, () => metric.read(this.#scrape)));
      } else this.#add(metric);
    }
    this.#compile = new Histogram({
      name: 'podfence_compile_duration_seconds',
      help: 'Time to compile a change into a new RuleTable.',
      buckets: CHANGE_BUCKETS,
      registers,
    });
    this.#enforcement = new Histogram({
      name: 'podfence_event_to_enforcement_seconds',
      help: 'Time from receiving the first event of a change until it is in force, on established flows too.',
      buckets: CHANGE_BUCKETS,
      registers,
    });
    this.#changedRecords = new Counter({
      name: 'podfence_changed_records_total',
      help: 'Changed policies, pods and namespaces that came into force.',
      registers,
    });
    if (view.policyFlows !== undefined) this.#addPolicyFlows(options.policyCap ?? DEFAULT_POLICY_CAP);
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: UNUSED_EVENT_LOOP_PRECISION });
    for (const name of UNWANTED_DEFAULTS) this.#registry.removeSingleMetric(name);
  }

  /** The media type of the text that `render` returns. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The last change that came into force. */
  get lastChange(): LastChange | undefined {
    return this.#lastChange;
  }

  /**
   * Records that the policies came into force for the first time. This answers no event, so it is
   * not in the time from event to enforcement.
   */
  observeStart({ compile, changes }: Omit<ChangeTimes, 'total'>): void {
    this.#compile.observe(compile);
    this.#changedRecords.inc(changes);
  }

  /** Records a change that came into force. */
  observeChange(change: ChangeTimes): void {
    this.#compile.observe(change.compile);
    this.#enforcement.observe(change.total);
    this.#changedRecords.inc(change.changes);
    this.#lastChange = { ...change, at: new Date() };
  }

  /**
   * Returns all metrics in Prometheus's text format 0.0.4, with values of one moment. Throws what
   * the view throws.
   */
  async render(): Promise<string> {
    this.#scrape = scrape(this.#view);
    // The registry starts all reads before it awaits the first, so their values are of one moment.
    return this.#registry.metrics();
  }

  #add({ name, help, type, labels, read }: ValueMetric): void {
    const config = { name, help, labelNames: labels, registers: [this.#registry] };
    const samples = (): readonly Sample[] => {
      const values = read(this.#scrape);
      return typeof values === 'number' ? [[[], values]] : (values ?? []);
    };
    const named = (values: readonly string[]) => Object.fromEntries(labels.map((label, i) => [label, values[i] ?? '']));
    if (type === 'counter') {
      new Counter({
        ...config,
        collect() {
          this.reset();
          for (const [values, value] of samples()) this.inc(named(values), value);
        },
      });
    } else {
      new Gauge({
        ...config,
        collect() {
          this.reset();
          // Without labels, a reset gauge is 0, not absent.
          if (labels.length === 0) this.remove({});
          for (const [values, value] of samples()) this.set(named(values), value);
        },
      });
    }
  }

  #addPolicyFlows(cap: number): void {
    const bounded = new BoundedPolicyFlows(cap);
    this.#add({
      name: 'podfence_policy_flows_total',
      type: 'counter',
      // Not `namespace`: scrapers use that label for the agent's own namespace.
      labels: ['policy_namespace', 'policy_name', 'verdict'],
      help: `Flows by the policy that decided. The ${cap} policies whose flows grew last have series of their own; all others share one, without a namespace and named other.`,
      read: ({ view }) =>
        bounded
          .update(view.policyFlows?.() ?? [])
          .flatMap(({ namespace, name, allowed, denied, wouldBeDenied }): Sample[] => [
            [[namespace, name, 'allow'], allowed],
            [[namespace, name, 'deny'], denied],
            [[namespace, name, 'would_deny'], wouldBeDenied],
          ]),
    });
  }
}

function scrape(view: AgentView): Scrape {
  return { view, counters: view.counters(), readiness: view.readiness(), source: view.source() };
}
