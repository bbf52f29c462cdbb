/** Metrics of the policies in force and of the source that they come from. */
import type { HistogramMetric, Metric, Sample, ValueMetric } from './metric.ts';

const ms = (milliseconds: number) => milliseconds / 1000;

const POD_START_WAITS: HistogramMetric = {
  name: 'podfence_pod_start_wait_seconds',
  type: 'histogram',
  labels: [],
  help: 'How long the container runtime waited for the agent, for each pod that started.',
  read: ({ view }) => view.podStarts?.().waits ?? { bounds: [], counts: [0], sum: 0 },
};

const POD_STARTS: readonly ValueMetric[] = [
  {
    name: 'podfence_pod_start_state',
    type: 'gauge',
    labels: ['state'],
    help: 'Always 1. runtime: the container runtime holds back the containers of a pod until its policies are in force; absent, unaddressed, lost and off: it does not.',
    read: ({ view }) => {
      const state = view.podStarts?.().state;
      return state === undefined ? [] : [[[state], 1]];
    },
  },
  {
    name: 'podfence_pod_starts_total',
    type: 'counter',
    labels: ['outcome'],
    help: 'Pods for which the container runtime waited: in_force before their containers started, refused because that took too long, or unjudged, started all the same.',
    read: ({ view }) => {
      const starts = view.podStarts?.();
      if (starts === undefined) return [];
      const { inForce, refused, unjudged } = starts;
      return [
        [['in_force'], inForce],
        [['refused'], refused],
        [['unjudged'], unjudged],
      ];
    },
  },
];

const SPOOFING: ValueMetric = {
  name: 'podfence_spoofed_packets_total',
  type: 'counter',
  labels: ['interface'],
  help: "Packets that the kernel dropped because another pod's address or the node's own was forged as their source, by the interface by which they came in; read every 10 s.",
  read: ({ view }) => [...(view.spoofing?.().dropped ?? [])].map(([name, count]): Sample => [[name], count]),
};

const IN_FORCE: readonly ValueMetric[] = [
  {
    name: 'podfence_ready',
    type: 'gauge',
    labels: [],
    help: '1 while policies are in force, 0 otherwise.',
    read: ({ readiness }) => (readiness.ready ? 1 : 0),
  },
  {
    name: 'podfence_mode',
    type: 'gauge',
    labels: ['mode'],
    help: 'Always 1 once policies are in force: enforce, or audit, which enforces nothing.',
    read: ({ view }) => {
      const mode = view.enforcementMode?.()?.mode;
      return mode === undefined ? [] : [[[mode], 1]];
    },
  },
  {
    name: 'podfence_pending_change_age_seconds',
    type: 'gauge',
    labels: [],
    help: 'Time since the agent received the oldest change that is not in force yet; 0 if all are in force.',
    read: ({ counters }) => counters.pendingChangeAge,
  },
  {
    name: 'podfence_isolated_endpoints',
    type: 'gauge',
    labels: [],
    help: 'Pods of this node that at least one policy isolates.',
    read: ({ counters }) => counters.steeredEndpoints,
  },
  {
    name: 'podfence_isolated_addresses',
    type: 'gauge',
    labels: [],
    help: 'Addresses of the isolated pods of this node.',
    read: ({ counters }) => counters.steeredAddresses,
  },
  {
    name: 'podfence_shared_addresses',
    type: 'gauge',
    labels: [],
    help: 'Addresses that several pods of the cluster have. Nothing tells their packets apart, so what one pod may not do, none may.',
    read: ({ counters }) => counters.sharedAddresses,
  },
  {
    name: 'podfence_refused_policies',
    type: 'gauge',
    labels: [],
    help: 'Policies of the cluster that exceed their budget of the rule table: they isolate their pods and allow nothing.',
    read: ({ counters }) => counters.refusedPolicies,
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
    help: 'Time since the source last reported on policies, pods and namespaces; the greatest of all kinds. Absent until the first lists are complete.',
    read: ({ source }) => (source.age === undefined ? undefined : ms(source.age)),
  },
  {
    name: 'podfence_watch_last_event_age_seconds',
    type: 'gauge',
    labels: ['kind'],
    help: 'Time since the server last sent something about a kind: an event, a bookmark, a complete list, or the acceptance of a watch. At most two minutes while all is well.',
    read: ({ source }) =>
      source.kinds.flatMap(({ kind, lastEventAge }): Sample[] =>
        lastEventAge === undefined ? [] : [[[kind], ms(lastEventAge)]],
      ),
  },
  {
    name: 'podfence_watch_restarts_total',
    type: 'counter',
    labels: ['kind', 'reason'],
    help: 'Lists and watches that were started again. Two reasons are no failures: ended (the server closed a watch in its turn) and quiet (a watch had no events for a while).',
    read: ({ source }) =>
      source.kinds.flatMap(({ kind, restarts }) =>
        Object.entries(restarts).map(([reason, count]): Sample => [[kind, reason], count]),
      ),
  },
  {
    name: 'podfence_watch_lists_total',
    type: 'counter',
    labels: ['kind'],
    help: 'Complete lists: the first one, and one each time the history of the server had expired.',
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
    help: 'Known objects of a kind.',
    read: ({ source }) => source.kinds.map(({ kind, records }) => [[kind], records]),
  },
  {
    name: 'podfence_watch_unreadable_objects_total',
    type: 'counter',
    labels: ['kind'],
    help: 'Objects received that could not be read in full, counted each time they come.',
    read: ({ source }) => source.kinds.map(({ kind, unreadable }) => [[kind], unreadable]),
  },
];

export const POLICY_METRICS: readonly Metric[] = [...IN_FORCE, ...POD_STARTS, POD_START_WAITS, SPOOFING, ...SOURCE];
