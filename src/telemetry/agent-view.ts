/**
 * What telemetry sees of a running agent. The rooms above give it what they have: `AgentCounters` and `ClusterWatchStatus` hold most of
 * this already. Everything is read when somebody asks, on the main thread, and must not wait for anything.
 */

import type { Direction } from '../cluster/records.ts';
import type { Finding } from '../doctor/finding.ts';
import type { Verdict } from '../filter/verdict.ts';

export interface AgentView {
  /** podfence's own version. */
  readonly version: string;
  readonly nodeName: string;
  readonly words: Words;
  counters(): CountersView;
  workers(): WorkersView;
  readiness(): Readiness;
  source(): SourceView;
  /** How packets are handed over and judged; undefined while the agent is not that far yet. */
  enforcementMode?(): EnforcementMode | undefined;
  /** Named ports of policies that no pod in question has. Without it nobody looks. */
  unknownPortNames?(): UnknownPortNamesView;
  /** Addresses that several pods have, none of which is the likelier owner. Without it nobody looks. */
  sharedAddresses?(): SharedAddressesView;
  /** Policies that ask for more of the rule table than they may have. Without it nobody looks. */
  refusedPolicies?(): RefusedPoliciesView;
  /** Lines of the log that could not be written. Without it none are lost. */
  logLinesLost?(): number;
  /** What the last look at the node found; none before the first one. Without it nobody looks. */
  findings?(): readonly Finding[];
  /** Milliseconds since then. */
  findingsAge?(): number | undefined;
  /** Allowed and denied flows of each policy since the agent runs. Without it there are no metrics by policy. */
  policyFlows?(): Iterable<PolicyFlows>;
  /** Without it no taint is taken away from the node. */
  startupTaint?(): StartupTaintView;
}

/** All names that can occur in what is counted, so that each series is there, as 0, before it first happens. */
export interface Words {
  /** Reasons of the filter, with each verdict that they can come with. */
  readonly reasons: readonly { readonly verdict: Verdict; readonly reason: string }[];
  /** The states that a flow can be in, each beginning with its protocol: `tcp-syn-sent`. */
  readonly flowStates: readonly string[];
}

/** `AgentCounters` of agent/counters.ts has these. Counts are of all time since the agent started, unless they say "now". */
export interface CountersView {
  /** Packets; a combination that never occurred may be left out. */
  readonly packets: readonly {
    readonly direction: Direction;
    readonly verdict: Verdict;
    readonly reason: string;
    readonly count: number;
  }[];
  readonly judged: number;
  /** Packets after which the kernel carries the flow on. */
  readonly offloaded: number;
  /** Offloaded flows that were judged once more because something had changed. */
  readonly rejudged: number;
  /** Offloaded flows that a later change denied. */
  readonly revoked: number;
  /** Batches of verdicts that the kernel did not take. */
  readonly unanswered: number;
  readonly latency: BucketCounts;
  /** Now, by state; a state that no flow is in may be left out. */
  readonly flows: readonly { readonly state: string; readonly revoked: boolean; readonly count: number }[];
  readonly flowCapacity: number;
  readonly flowsInserted: number;
  readonly flowsExpired: number;
  /** By what the flow was worth. Every worth is there from the start. */
  readonly flowsEvicted: Readonly<Record<string, number>>;
  readonly workerRestarts: number;
  readonly steeringRepairs: number;
  /** Seconds since the oldest change that is not in force was received; 0 where all are. */
  readonly pendingChangeAge: number;
  /** Of the RuleTable in force; 0 before there is one. */
  readonly generation: number;
  /** Of the RuleTable in force, bytes. */
  readonly tableBytes: number;
  /** Addresses of isolated pods of this node, now. */
  readonly isolated: number;
  /** Isolated pods of this node, now. */
  readonly isolatedEndpoints: number;
  /** Addresses that several pods of the cluster have. */
  readonly sharedAddresses?: number;
  /** Policies that ask for more of the table than they may have. */
  readonly refusedPolicies?: number;
  /** Policies of the whole cluster, now. */
  readonly policies: number;
  /** Identities of the whole cluster, now. */
  readonly identities: number;
  readonly queues: readonly {
    readonly queue: number;
    /** Packets, now. */
    readonly waiting: number;
    readonly droppedByKernel: number;
    readonly droppedByUser: number;
  }[];
  /** Copies of packets, where they are judged instead of packets. */
  readonly copies?: CopyCounts;
}

export interface CopyCounts {
  readonly taken: number;
  /** They found no room and were not judged. */
  readonly lost: number;
  /** How often the process that takes them had to be started again. */
  readonly restarts: number;
}

/** Observations by size. */
export interface BucketCounts {
  /** Upper bounds, inclusive and growing. */
  readonly bounds: readonly number[];
  /** By bucket, not cumulative; one more than there are bounds, for what was greater. */
  readonly counts: readonly number[];
  readonly sum: number;
}

export interface WorkersView {
  /** Queue workers that should be judging packets; 0 while the agent is not that far yet. */
  readonly wanted: number;
  readonly alive: number;
}

export type Readiness =
  /** Policies are in force, since then. */
  | { readonly ready: true; readonly since: Date }
  /** @param reason what the agent waits for or what is wrong, in one line */
  | { readonly ready: false; readonly reason: string };

/** What is in force of the settings of the same names. */
export interface EnforcementMode {
  /** `audit`: nothing is enforced. */
  readonly mode: 'enforce' | 'audit';
  /** What the probe of the kernel found, where the setting is auto. */
  readonly steering: 'nftables' | 'iptables';
  readonly offload: boolean;
  /** What of its kernel rules the agent hears of at once when other software changes it; at the rest it looks every 10 s. */
  readonly changesTold?: 'rules and sets' | 'rules' | 'nothing';
  /** Without a meaning where nothing is enforced. */
  readonly fail?: 'closed' | 'open';
  readonly deny?: 'drop' | 'reject';
  /** Whether first packets of UDP flows through Services are judged before routing, for an older kernel would lose some of them behind it. */
  readonly beforeRouting?: boolean;
}

/** The taint that keeps pods from the node until policies are in force; `StartupTaintStatus` of kube/startup-taint.ts has these. */
export interface StartupTaintView {
  readonly key: string;
  readonly state: 'waiting' | 'removing' | 'failing' | 'removed' | 'absent';
  /** Attempts that failed. */
  readonly failures: number;
  readonly lastError: string | undefined;
}

/** Where the cluster's records come from; `ClusterWatchStatus` of kube/watch-status.ts has most of it. */
export interface SourceView {
  readonly type: 'kubernetes' | 'manifests';
  /** The address of the API server, or the paths of the manifests. */
  readonly location: string;
  /** Age of the oldest knowledge, in ms: that of the kind that was heard of the longest ago. Undefined until there is any. */
  readonly age: number | undefined;
  /** What is watched; [] for manifests. */
  readonly kinds: readonly WatchView[];
}

/** `KindStatus` of kube/watch-status.ts has these. */
export interface WatchView {
  readonly kind: string;
  /** The first list is complete. */
  readonly synced: boolean;
  /** A watch is open. */
  readonly watching: boolean;
  readonly resourceVersion: string | undefined;
  /** Now. */
  readonly records: number;
  /** Milliseconds; undefined before the first event. */
  readonly lastEventAge: number | undefined;
  readonly lists: number;
  /** By reason. Every reason is there from the start. */
  readonly restarts: Readonly<Record<string, number>>;
  readonly unreadable: number;
  readonly lastError: { readonly code: string; readonly message: string; readonly age: number } | undefined;
}

/** How long a change took to come into force, in seconds; `ChangeTimes` of agent/agent.ts has these. */
export interface ChangeView {
  /** Changed records that came into force together. */
  readonly changes: number;
  readonly compile: number;
  /** From when the first of the events was received until all were in force. */
  readonly total: number;
}

export interface SharedAddressesView {
  readonly count: number;
  /** The first of them. Pods are `namespace/name`. */
  readonly listed: readonly { readonly address: string; readonly pods: readonly string[] }[];
}

export interface RefusedPoliciesView {
  readonly count: number;
  /** The first of them, `namespace/name`, and why. */
  readonly listed: readonly { readonly policy: string; readonly reason: string }[];
}

export interface UnknownPortNamesView {
  /** Entries of policies that select a pod of this node, now. */
  readonly count: number;
  /** Some of them. */
  readonly listed: readonly {
    /** `namespace/name`. */
    readonly policy: string;
    /** `spec.ingress[0].ports[0].port`. */
    readonly field: string;
    readonly message: string;
    readonly hint: string;
  }[];
}

export interface PolicyFlows {
  readonly namespace: string;
  readonly name: string;
  readonly allowed: number;
  readonly denied: number;
  /** Denied by it while it is audited. */
  readonly wouldBeDenied: number;
}
