/**
 * The agent's metrics for Prometheus. The packet path counts in its own memory, and a scrape copies
 * the counts into the metrics, so that packets never pay for them.
 */
import { BucketCounter } from '../agent-state/bucket-counter.ts';
import type { ChangeTimes } from '../agent-state/change-times.ts';
import type { AgentView } from './agent-view.ts';
import type { HistogramMetric, Metric, Sample, Scrape, ValueMetric } from './metric.ts';
import { PACKET_METRICS } from './packet-metrics.ts';
import { BoundedPolicyFlows, DEFAULT_POLICY_CAP } from './policy-flows.ts';
import { POLICY_METRICS } from './policy-metrics.ts';
import type { MetricsRegistry } from './registry.ts';

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
  /** The media type of the text that `render` returns. */
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';
  readonly #view: AgentView;
  readonly #policyCap: number;
  readonly #compile = new BucketCounter(CHANGE_BUCKETS);
  readonly #enforcement = new BucketCounter(CHANGE_BUCKETS);
  #changedRecords = 0;
  #lastChange: LastChange | undefined;
  #registry: Promise<MetricsRegistry> | undefined;

  constructor(view: AgentView, { policyCap = DEFAULT_POLICY_CAP }: MetricsOptions = {}) {
    this.#view = view;
    this.#policyCap = policyCap;
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
    this.#changedRecords += changes;
  }

  /** Records a change that came into force. */
  observeChange(change: ChangeTimes): void {
    this.#compile.observe(change.compile);
    this.#enforcement.observe(change.total);
    this.#changedRecords += change.changes;
    this.#lastChange = { ...change, at: new Date() };
  }

  /**
   * Loads the library for metrics, which takes a tenth of a second: a start that is under way has
   * better things to do, so the agent calls this afterwards. The first `render` does it otherwise.
   */
  async load(): Promise<void> {
    await this.#loaded();
  }

  /**
   * Returns all metrics in Prometheus's text format 0.0.4, with values of one moment. Throws what
   * the view throws.
   */
  async render(): Promise<string> {
    const registry = await this.#loaded();
    return await registry.render(scrape(this.#view));
  }

  async #loaded(): Promise<MetricsRegistry> {
    this.#registry ??= import('./registry.ts').then(({ MetricsRegistry: Registry }) => new Registry(this.#all()));
    try {
      return await this.#registry;
    } catch (error) {
      // The next scrape tries again.
      this.#registry = undefined;
      throw error;
    }
  }

  #all(): readonly Metric[] {
    const own: readonly Metric[] = [
      this.#histogram(
        'podfence_compile_duration_seconds',
        'Time to compile a change into a new RuleTable.',
        this.#compile,
      ),
      this.#histogram(
        'podfence_event_to_enforcement_seconds',
        'Time from receiving the first event of a change until it is in force, on established flows too.',
        this.#enforcement,
      ),
      {
        name: 'podfence_changed_records_total',
        help: 'Changed policies, pods and namespaces that came into force.',
        type: 'counter',
        labels: [],
        read: () => this.#changedRecords,
      },
    ];
    const flows = this.#view.policyFlows === undefined ? [] : [policyFlows(this.#policyCap)];
    return [BUILD_INFO, LOG_LINES_LOST, ...POLICY_METRICS, ...PACKET_METRICS, ...own, ...flows];
  }

  #histogram(name: string, help: string, counter: BucketCounter): HistogramMetric {
    return { name, help, type: 'histogram', labels: [], read: () => counter.counts() };
  }
}

/** @param cap most policies with series of their own */
function policyFlows(cap: number): ValueMetric {
  const bounded = new BoundedPolicyFlows(cap);
  return {
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
  };
}

function scrape(view: AgentView): Scrape {
  return { view, counters: view.counters(), readiness: view.readiness(), source: view.source() };
}
