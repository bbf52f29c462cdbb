/** What an agent counts and holds. Counts are of all time since it started, unless they say "now". */
import type { Direction } from '../cluster/records.ts';
import type { StateName, Worth } from '../conntrack/states.ts';
import type { ReasonName } from '../filter/reasons.ts';
import type { Verdict } from '../filter/verdict.ts';

export interface AgentCounters {
  /** Packets judged; only combinations that occurred. */
  readonly packets: readonly PacketCount[];
  readonly judged: number;
  /** Judged packets after which the kernel carries the flow on. */
  readonly offloaded: number;
  /** Offloaded flows that were judged once more because something had changed. */
  readonly rejudged: number;
  /** Those of them that were denied then. */
  readonly revoked: number;
  /** Batches of verdicts that the kernel did not take. */
  readonly unanswered: number;
  /** Packets by the time from leaving the queue to the verdict in force, in seconds. */
  readonly latency: BucketCounts;
  /** Now, in the workers' tables, by state; only states that occur. Offloaded flows live on in the kernel's table alone. */
  readonly flows: readonly FlowCount[];
  readonly flowCapacity: number;
  readonly flowsInserted: number;
  readonly flowsExpired: number;
  /** By what the flow was worth. */
  readonly flowsEvicted: Readonly<Record<Worth, number>>;
  /** Workers that ended and were replaced. */
  readonly workerRestarts: number;
  /** How often kernel rules were put in place again that other software had taken away. */
  readonly steeringRepairs: number;
  /** Seconds since the oldest change that is not in force was received; 0 where all are. */
  readonly pendingChangeAge: number;
  /** Of the RuleTable in force; 0 before there is one. */
  readonly generation: number;
  /** Of the RuleTable in force, bytes. */
  readonly tableBytes: number;
  /** Addresses of steered pods of this node, now. */
  readonly steeredAddresses: number;
  /** Steered pods of this node, now. */
  readonly steeredEndpoints: number;
  /** Addresses that several pods of the cluster have, now. */
  readonly sharedAddresses: number;
  /** Policies that ask for more of the table than they may have, now. */
  readonly refusedPolicies: number;
  /** Pods of this node, now. */
  readonly endpoints: number;
  /** Policies of the whole cluster, now. */
  readonly policies: number;
  /** Of the whole cluster, now: pods with the same namespace, labels and named ports count as one. */
  readonly identities: number;
  readonly queues: readonly KernelQueue[];
  /** In audit mode. */
  readonly copies?: CopyCounts;
}

export interface PacketCount {
  readonly direction: Direction;
  readonly verdict: Verdict;
  readonly reason: ReasonName;
  readonly count: number;
}

export interface FlowCount {
  readonly state: StateName;
  readonly revoked: boolean;
  readonly count: number;
}

/** Observations by size. */
export interface BucketCounts {
  /** Upper bounds, inclusive and growing. */
  readonly bounds: readonly number[];
  /** By bucket, not cumulative; one more than there are bounds, for what was greater. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** What the kernel counts for one queue (/proc/net/netfilter/nfnetlink_queue). */
export interface KernelQueue {
  readonly queue: number;
  /** Packets that wait now. */
  readonly waiting: number;
  /** Dropped because the queue was full. */
  readonly droppedByKernel: number;
  /** Dropped because the socket's buffer was full. */
  readonly droppedByUser: number;
}

/** Copies of packets, where they are judged instead of packets. */
export interface CopyCounts {
  /** Copies that were taken, */
  readonly taken: number;
  /** and those that found no room. */
  readonly lost: number;
  /** How often the process that takes them had to be started again. */
  readonly restarts: number;
}
