/** A histogram of observations that were counted elsewhere. */

import type { Metric } from 'prom-client';
import type { BucketCounts } from '../agent-state/counters.ts';

interface Description {
  readonly name: string;
  readonly help: string;
}

/**
 * prom-client's own Histogram takes only single observations. Its registry needs only a name and
 * `get` of a metric. This `get` returns cumulative buckets, the sum, and the last bucket as the
 * count, so the three agree even while counting goes on.
 */
export function countedHistogram({ name, help }: Description, read: () => BucketCounts): Metric {
  const type = 'histogram';
  const get = async () => ({ name, help, type, aggregator: 'sum', values: series(name, read()) });
  return { name, help, type, aggregator: 'sum', get, reset: () => {} } as unknown as Metric;
}

function series(name: string, { bounds, counts, sum }: BucketCounts) {
  let below = 0;
  const buckets = counts.map((count, bucket) => {
    below += count;
    return { metricName: `${name}_bucket`, labels: { le: bounds[bucket] ?? '+Inf' }, value: below };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: {}, value: sum },
    { metricName: `${name}_count`, labels: {}, value: below },
  ];
}
