/** A histogram whose observations were counted elsewhere. */

import type { Metric } from 'prom-client';
import type { BucketCounts } from '../agent-state/counters.ts';

interface Description {
  readonly name: string;
  readonly help: string;
}

/**
 * prom-client's own Histogram only takes single observations. What its registry wants of a metric is a name and `get`; this gives it cumulative buckets, the
 * sum, and as count the last bucket, so that the three agree whatever was counted meanwhile.
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
