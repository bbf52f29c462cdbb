/** Metrics of packets, flows and queues. */
import { DIRECTIONS } from '../cluster/records.ts';
import type { Metric, Sample, Scrape } from './metric.ts';

const PACKETS: readonly Metric[] = [
  {
    name: 'podfence_packets_total',
    type: 'counter',
    labels: ['direction', 'verdict', 'reason'],
    help: 'Packets judged, by the direction that decided (egress leaves a pod, ingress enters one), verdict and reason.',
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
    help: 'Judged packets whose flow the kernel carries from then on.',
    read: ({ counters }) => counters.offloaded,
  },
  {
    name: 'podfence_unanswered_batches_total',
    type: 'counter',
    labels: [],
    help: 'Batches of verdicts that the kernel did not accept.',
    read: ({ counters }) => counters.unanswered,
  },
];

const FLOWS: readonly Metric[] = [
  {
    name: 'podfence_flows',
    type: 'gauge',
    labels: ['protocol', 'state', 'revoked'],
    help: 'Flows in the flow tables. Offloaded flows are in the connection table of the kernel alone.',
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
    help: 'Flows added to a flow table.',
    read: ({ counters }) => counters.flowsInserted,
  },
  {
    name: 'podfence_flows_expired_total',
    type: 'counter',
    labels: [],
    help: 'Flows removed from a flow table because they were idle for their timeout.',
    read: ({ counters }) => counters.flowsExpired,
  },
  {
    name: 'podfence_flows_evicted_total',
    type: 'counter',
    labels: ['worth'],
    help: 'Flows evicted from a full flow table for a new one, by their worth; replied are open connections.',
    read: ({ counters }) => Object.entries(counters.flowsEvicted).map(([worth, count]) => [[worth], count]),
  },
  {
    name: 'podfence_flows_rejudged_total',
    type: 'counter',
    labels: [],
    help: 'Offloaded flows judged again because policies, pods or namespaces had changed.',
    read: ({ counters }) => counters.rejudged,
  },
  {
    name: 'podfence_flows_revoked_total',
    type: 'counter',
    labels: [],
    help: 'Offloaded flows that were allowed and that a later change denied.',
    read: ({ counters }) => counters.revoked,
  },
];

const QUEUES: readonly Metric[] = [
  {
    name: 'podfence_queue_waiting_packets',
    type: 'gauge',
    labels: ['queue'],
    help: 'Packets waiting in a queue for their verdict.',
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
    name: 'podfence_copies_total',
    type: 'counter',
    labels: ['outcome'],
    help: 'In audit mode, copies of packets from the kernel: taken for judging, or lost because the buffer was full.',
    read: ({ counters: { copies } }) =>
      copies && [
        [['taken'], copies.taken],
        [['lost'], copies.lost],
      ],
  },
  {
    name: 'podfence_capture_restarts_total',
    type: 'counter',
    labels: [],
    help: 'In audit mode, how often the process that captures copies of packets ended and was started again.',
    read: ({ counters: { copies } }) => copies?.restarts ?? [],
  },
  {
    name: 'podfence_worker_restarts_total',
    type: 'counter',
    labels: [],
    help: 'Queue workers that ended unexpectedly and were replaced.',
    read: ({ counters }) => counters.workerRestarts,
  },
  {
    name: 'podfence_steering_repairs_total',
    type: 'counter',
    labels: [],
    help: 'How often podfence restored kernel rules that other software had removed.',
    read: ({ counters }) => counters.steeringRepairs,
  },
  {
    name: 'podfence_workers',
    type: 'gauge',
    labels: ['state'],
    help: 'Queue workers: how many there should be (wanted), and how many are alive.',
    read: ({ view }) => Object.entries(view.workers()).map(([state, count]) => [[state], count]),
  },
];

export const PACKET_METRICS: readonly Metric[] = [...PACKETS, ...FLOWS, ...QUEUES];

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

/** Splits `tcp-syn-sent` into the protocol tcp and the state syn-sent. */
function flowLabels(state: string, revoked: boolean): readonly string[] {
  const [protocol = '', ...rest] = state.split('-');
  return [protocol, rest.join('-'), String(revoked)];
}

/** Merges samples with the same labels into one with the sum of their values. */
function total(samples: readonly Sample[]): Sample[] {
  const sums = new Map<string, Sample>();
  for (const [labels, value] of samples) {
    const key = labels.join();
    sums.set(key, [labels, (sums.get(key)?.[1] ?? 0) + value]);
  }
  return [...sums.values()];
}
