/** The agent's metrics in prom-client, which is loaded with this file. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { countedHistogram } from './counted-histogram.ts';
import type { Metric, Sample, Scrape, ValueMetric } from './metric.ts';

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

export class MetricsRegistry {
  readonly #registry = new Registry();
  /** What the metrics read; set before any of them reads. */
  #scrape!: Scrape;

  constructor(metrics: readonly Metric[]) {
    for (const metric of metrics) {
      if (metric.type === 'histogram') {
        this.#registry.registerMetric(countedHistogram(metric, () => metric.read(this.#scrape)));
      } else this.#add(metric);
    }
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: UNUSED_EVENT_LOOP_PRECISION });
    for (const name of UNWANTED_DEFAULTS) this.#registry.removeSingleMetric(name);
  }

  /** Returns all metrics in Prometheus's text format 0.0.4. */
  async render(scrape: Scrape): Promise<string> {
    this.#scrape = scrape;
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
}
