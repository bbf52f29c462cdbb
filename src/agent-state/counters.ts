/** Counters and gauges of an agent. Counts begin with the agent's start unless they say "now". */
import type { Direction } from '../cluster/records.ts';
import type { StateName, Worth } from '../conntrack/states.ts';
import type { ReasonName } from '../filter/reasons.ts';
import type { Verdict } from '../filter/verdict.ts';

export interface AgentCounters {
  /** Packets judged; only combinations that occurred. */
  readonly packets: readonly PacketCount[];
  readonly judged: number;
  /** Judged packets whose flow the kernel carries from then on. */
  readonly offloaded: number;
  /** Offloaded flows judged again after a change. */
  readonly rejudged: number;
  /** Offloaded flows that a change denied. */
  readonly revoked: number;
  /** Batches of verdicts that the kernel did not accept. */
  readonly unanswered: number;
  /** Packets by the time from leaving the queue until their verdict is in force, in seconds. */
  readonly latency: BucketCounts;
  /**
   * Flows in the workers' tables now, by state; only states that occur. Offloaded flows are in the
   * kernel's table alone.
   */
  readonly flows: readonly FlowCount[];
  readonly flowCapacity: number;
  readonly flowsInserted: number;
  readonly flowsExpired: number;
  /** By the worth of the evicted flow. */
  readonly flowsEvicted: Readonly<Record<Worth, number>>;
  /** Workers that ended and were replaced. */
  readonly workerRestarts: number;
  /** How often the agent restored kernel rules that other software had removed. */
  readonly steeringRepairs: number;
  /** Seconds since the agent received the oldest change that is not in force yet; 0 if all are. */
  readonly pendingChangeAge: number;
  /** Generation of the RuleTable in force; 0 before the first. */
  readonly generation: number;
  /** Size of the RuleTable in force, in bytes. */
  readonly tableBytes: number;
  /** Addresses of steered pods of this node, now. */
  readonly steeredAddresses: number;
  /** Steered pods of this node, now. */
  readonly steeredEndpoints: number;
  /** Addresses that several pods of the cluster have, now. */
  readonly sharedAddresses: number;
  /** Policies refused now because they exceed their budget of the rule table. */
  readonly refusedPolicies: number;
  /** Pods of this node, now. */
  readonly endpoints: number;
  /** Policies of the whole cluster, now. */
  readonly policies: number;
  /**
   * Identities of the whole cluster, now: pods with the same namespace, labels and named ports
   * share one.
   */
  readonly identities: number;
  readonly queues: readonly KernelQueue[];
  /** Only in audit mode. */
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

/** Observations by bucket, as in a histogram. */
export interface BucketCounts {
  /** Upper bounds, inclusive, ascending. */
  readonly bounds: readonly number[];
  /** Count of each bucket, not cumulative; one more than `bounds`, for larger values. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** The kernel's counters of one queue (/proc/net/netfilter/nfnetlink_queue). */
export interface KernelQueue {
  readonly queue: number;
  /** Packets waiting now. */
  readonly waiting: number;
  /** Dropped because the queue was full. */
  readonly droppedByKernel: number;
  /** Dropped because the socket's buffer was full. */
  readonly droppedByUser: number;
}

/** Counters of the packet copies that audit mode judges. */
export interface CopyCounts {
  /** Copies captured. */
  readonly taken: number;
  /** Copies lost because the buffer was full. */
  readonly lost: number;
  /** Restarts of the capture process. */
  readonly restarts: number;
}
