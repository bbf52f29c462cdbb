/**
 * Every metric of podfence's own: one table, from which the metrics are made and by which they can be described. A metric reads what the
 * agent has counted when somebody scrapes; nothing here is called when a packet comes.
 *
 * Names and labels follow https://prometheus.io/docs/practices/naming/ and https://prometheus.io/docs/instrumenting/writing_exporters/.
 */
import {
  type AgentView,
  type BucketCounts,
  type CountersView,
  DIRECTIONS,
  type Readiness,
  type SourceView,
} from './agent-view.ts';

/** What one scrape reads, all of one moment. */
export interface Scrape {
  readonly view: AgentView;
  readonly counters: CountersView;
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

const ms = (milliseconds: number) => milliseconds / 1000;

const PACKETS: readonly (ValueMetric | HistogramMetric)[] = [
  {
    name: 'podfence_packets_total',
    type: 'counter',
    labels: ['direction', 'verdict', 'reason'],
    help: 'Packets judged, by the direction that decided (egress leaves a pod, ingress enters one), verdict and its reason.',
    read: packets,
  },
  {
    name: 'podfence_verdict_latency_seconds',
    type: 'histogram',
    labels: [],
    help: 'Time from taking a packet out of the queue until its verdict is in force.',
    read: ({ counters }) => counters.latency,
  },
  {
    name: 'podfence_offloaded_packets_total',
    type: 'counter',
    labels: [],
    help: 'Judged packets after which the kernel carries the flow on without asking again.',
    read: ({ counters }) => counters.offloaded,
  },
  {
    name: 'podfence_unanswered_batches_total',
    type: 'counter',
    labels: [],
    help: 'Batches of verdicts that the kernel did not take.',
    read: ({ counters }) => counters.unanswered,
  },
];

const FLOWS: readonly ValueMetric[] = [
  {
    name: 'podfence_flows',
    type: 'gauge',
    labels: ['protocol', 'state', 'revoked'],
    help: 'Flows in the flow tables. Offloaded flows live on in the connection table of the kernel alone.',
    read: flows,
  },
  {
    name: 'podfence_flow_table_capacity',
    type: 'gauge',
    labels: [],
    help: 'Flows that all flow tables together can hold.',
    read: ({ counters }) => counters.flowCapacity,
  },
  {
    name: 'podfence_flows_inserted_total',
    type: 'counter',
    labels: [],
    help: 'Flows that came into a flow table.',
    read: ({ counters }) => counters.flowsInserted,
  },
  {
    name: 'podfence_flows_expired_total',
    type: 'counter',
    labels: [],
    help: 'Flows that left a flow table because they were idle for their timeout.',
    read: ({ counters }) => counters.flowsExpired,
  },
  {
    name: 'podfence_flows_evicted_total',
    type: 'counter',
    labels: ['worth'],
    help: 'Flows that left a full flow table for a new one, by what they were worth; replied are open connections.',
    read: ({ counters }) => Object.entries(counters.flowsEvicted).map(([worth, count]) => [[worth], count]),
  },
  {
    name: 'podfence_flows_rejudged_total',
    type: 'counter',
    labels: [],
    help: 'Offloaded flows that were judged once more because policies, pods or namespaces had changed.',
    read: ({ counters }) => counters.rejudged,
  },
  {
    name: 'podfence_flows_revoked_total',
    type: 'counter',
    labels: [],
    help: 'Offloaded flows that were allowed once and that a later change denied.',
    read: ({ counters }) => counters.revoked,
  },
];

const QUEUES: readonly ValueMetric[] = [
  {
    name: 'podfence_queue_waiting_packets',
    type: 'gauge',
    labels: ['queue'],
    help: 'Packets that wait in a queue for their verdict.',
    read: ({ counters }) => counters.queues.map(({ queue, waiting }) => [[String(queue)], waiting]),
  },
  {
    name: 'podfence_queue_dropped_packets_total',
    type: 'counter',
    labels: ['queue', 'cause'],
    help: 'Packets dropped before they were judged, because the queue or the buffer of its socket was full.',
    read: ({ counters }) =>
      counters.queues.flatMap(({ queue, droppedByKernel, droppedByUser }): Sample[] => [
        [[String(queue), 'queue-full'], droppedByKernel],
        [[String(queue), 'buffer-full'], droppedByUser],
      ]),
  },
  {
    name: 'podfence_worker_restarts_total',
    type: 'counter',
    labels: [],
    help: 'Queue workers that ended unasked and were replaced.',
    read: ({ counters }) => counters.workerRestarts,
  },
  {
    name: 'podfence_workers',
    type: 'gauge',
    labels: ['state'],
    help: 'Queue workers: how many there should be, and how many are alive.',
    read: ({ view }) => Object.entries(view.workers()).map(([state, count]) => [[state], count]),
  },
];

const IN_FORCE: readonly ValueMetric[] = [
  {
    name: 'podfence_ready',
    type: 'gauge',
    labels: [],
    help: '1 while policies are in force, 0 otherwise.',
    read: ({ readiness }) => (readiness.ready ? 1 : 0),
  },
  {
    name: 'podfence_isolated_endpoints',
    type: 'gauge',
    labels: [],
    help: 'Pods of this node that at least one policy isolates.',
    read: ({ counters }) => counters.isolatedEndpoints,
  },
  {
    name: 'podfence_isolated_addresses',
    type: 'gauge',
    labels: [],
    help: 'Addresses of the isolated pods of this node.',
    read: ({ counters }) => counters.isolated,
  },
  {
    name: 'podfence_policies',
    type: 'gauge',
    labels: [],
    help: 'Policies of the whole cluster that are compiled.',
    read: ({ counters }) => counters.policies,
  },
  {
    name: 'podfence_identities',
    type: 'gauge',
    labels: [],
    help: 'Sets of pods of the whole cluster that policies cannot tell apart.',
    read: ({ counters }) => counters.identities,
  },
  {
    name: 'podfence_rule_table_bytes',
    type: 'gauge',
    labels: [],
    help: 'Size of the RuleTable in force.',
    read: ({ counters }) => counters.tableBytes,
  },
  {
    name: 'podfence_rule_table_generation',
    type: 'gauge',
    labels: [],
    help: 'Number of the RuleTable in force; it grows with every change.',
    read: ({ counters }) => counters.generation,
  },
];

const SOURCE: readonly ValueMetric[] = [
  {
    name: 'podfence_knowledge_age_seconds',
    type: 'gauge',
    labels: [],
    help: 'Time since the source of policies, pods and namespaces was last heard; the greatest of all kinds. Absent until the first lists are complete.',
    read: ({ source }) => (source.age === undefined ? undefined : ms(source.age)),
  },
  {
    name: 'podfence_watch_last_event_age_seconds',
    type: 'gauge',
    labels: ['kind'],
    help: 'Time since the last event, bookmark or complete list of a kind; the server sends a bookmark about every minute.',
    read: ({ source }) =>
      source.kinds.flatMap(({ kind, lastEventAge }): Sample[] =>
        lastEventAge === undefined ? [] : [[[kind], ms(lastEventAge)]],
      ),
  },
  {
    name: 'podfence_watch_restarts_total',
    type: 'counter',
    labels: ['kind', 'reason'],
    help: 'Lists and watches that had to be begun again; ended is the server closing one in its turn.',
    read: ({ source }) =>
      source.kinds.flatMap(({ kind, restarts }) =>
        Object.entries(restarts).map(([reason, count]): Sample => [[kind, reason], count]),
      ),
  },
  {
    name: 'podfence_watch_lists_total',
    type: 'counter',
    labels: ['kind'],
    help: 'Complete lists: the first one, and one each time that the history of the server had expired.',
    read: ({ source }) => source.kinds.map(({ kind, lists }) => [[kind], lists]),
  },
  {
    name: 'podfence_watch_open',
    type: 'gauge',
    labels: ['kind'],
    help: '1 while a watch is open, 0 otherwise.',
    read: ({ source }) => source.kinds.map(({ kind, watching }) => [[kind], watching ? 1 : 0]),
  },
  {
    name: 'podfence_watch_records',
    type: 'gauge',
    labels: ['kind'],
    help: 'Objects of a kind that are known.',
    read: ({ source }) => source.kinds.map(({ kind, records }) => [[kind], records]),
  },
  {
    name: 'podfence_watch_unreadable_objects_total',
    type: 'counter',
    labels: ['kind'],
    help: 'Objects that came and could not be read in full, each time that they came.',
    read: ({ source }) => source.kinds.map(({ kind, unreadable }) => [[kind], unreadable]),
  },
];

const BUILD: readonly ValueMetric[] = [
  {
    name: 'podfence_build_info',
    type: 'gauge',
    labels: ['version', 'node_version'],
    help: 'Always 1; the versions of podfence and of Node.js.',
    read: ({ view }) => [[[view.version, process.versions.node], 1]],
  },
];

/** The metrics that are read from the agent when somebody scrapes. */
export const READ_METRICS: readonly (ValueMetric | HistogramMetric)[] = [
  ...BUILD,
  ...IN_FORCE,
  ...PACKETS,
  ...FLOWS,
  ...QUEUES,
  ...SOURCE,
];

function packets({ view, counters }: Scrape): Sample[] {
  const known = DIRECTIONS.flatMap((direction) =>
    view.words.reasons.map(({ verdict, reason }) => ({ direction, verdict, reason, count: 0 })),
  );
  return total(
    [...known, ...counters.packets].map((each) => [[each.direction, each.verdict, each.reason], each.count]),
  );
}

function flows({ view, counters }: Scrape): Sample[] {
  const known = view.words.flowStates.flatMap((state) =>
    [false, true].map((revoked) => ({ state, revoked, count: 0 })),
  );
  return total([...known, ...counters.flows].map((each) => [flowLabels(each.state, each.revoked), each.count]));
}

/** `tcp-syn-sent` is the state syn-sent of tcp. */
function flowLabels(state: string, revoked: boolean): readonly string[] {
  const [protocol = '', ...rest] = state.split('-');
  return [protocol, rest.join('-'), String(revoked)];
}

/** Each set of labels once, with the sum of its values. */
function total(samples: readonly Sample[]): Sample[] {
  const sums = new Map<string, Sample>();
  for (const [labels, value] of samples) {
    const key = labels.join();
    sums.set(key, [labels, (sums.get(key)?.[1] ?? 0) + value]);
  }
  return [...sums.values()];
}
