/** What the agent counts and holds, as plain values: for metrics, the lab and whoever asks. */

import { DIRECTIONS, type Direction } from '../cluster/records.ts';
import { EVICTED, EXPIRED, INSERTED } from '../conntrack/flow-table.ts';
import { LISTS, REVOKED_LISTS } from '../conntrack/slots.ts';
import { STATES, type StateName, WORTHS, type Worth } from '../conntrack/states.ts';
import type { CopyCounts } from '../dataplane/nflog/copy-judge.ts';
import type { KernelQueue } from '../dataplane/nfqueue/queue-workers.ts';
import { REASONS, type ReasonName } from '../filter/reasons.ts';
import { type Verdict, verdictOf } from '../filter/verdict.ts';
import { LATENCY_BOUNDS, type WorkerCounters } from '../judging/counters.ts';

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

export interface AgentCounters {
  /** Packets judged, by direction, verdict and reason; only those that occurred. */
  readonly packets: readonly PacketCount[];
  readonly judged: number;
  /** Judged packets after which the kernel carries the flow on. */
  readonly offloaded: number;
  /** Flows that the kernel knew as judged and that were judged again because something had changed. */
  readonly rejudged: number;
  /** Those of them that were denied then. */
  readonly revoked: number;
  /** Batches of verdicts that the kernel did not take. */
  readonly unanswered: number;
  /** Packets by the time from leaving the queue to the verdict in force. */
  readonly latency: {
    /** Upper bounds in seconds; `counts` has one more, for what took longer. */
    readonly bounds: readonly number[];
    /** By bucket, not cumulative. */
    readonly counts: readonly number[];
    /** Seconds. */
    readonly sum: number;
  };
  /** Flows in the workers' tables, by state; only states that occur. Offloaded flows live on in the kernel's table alone. */
  readonly flows: readonly FlowCount[];
  readonly flowCapacity: number;
  readonly flowsInserted: number;
  readonly flowsExpired: number;
  readonly flowsEvicted: Readonly<Record<Worth, number>>;
  /** Workers that ended and were replaced. */
  readonly workerRestarts: number;
  /** How often kernel rules were put in place again that other software had taken away. */
  readonly steeringRepairs: number;
  /** Since when a change is not in force yet, in seconds; 0 where all are. */
  readonly pendingChangeAge: number;
  /** Of the RuleTable in force. */
  readonly generation: number;
  /** Of the RuleTable in force, in bytes. */
  readonly tableBytes: number;
  /** Addresses of isolated pods of this node. */
  readonly isolated: number;
  /** Isolated pods of this node. */
  readonly isolatedEndpoints: number;
  readonly sharedAddresses: number;
  readonly refusedPolicies: number;
  /** Pods of this node. */
  readonly endpoints: number;
  /** Policies of the whole cluster. */
  readonly policies: number;
  /** Of the whole cluster: pods with the same namespace, labels and named ports count as one. */
  readonly identities: number;
  readonly queues: readonly KernelQueue[];
  /** In audit mode. */
  readonly copies?: CopyCounts;
}

type WorkerPart = Pick<
  AgentCounters,
  | 'packets'
  | 'judged'
  | 'offloaded'
  | 'unanswered'
  | 'latency'
  | 'flows'
  | 'flowsInserted'
  | 'flowsExpired'
  | 'flowsEvicted'
>;

/** What the workers counted, under names. */
export function nameCounters(counters: WorkerCounters): WorkerPart {
  const packets = packetCounts(counters);
  return {
    packets,
    judged: packets.reduce((sum, { count }) => sum + count, 0),
    offloaded: counters.offloaded,
    unanswered: counters.unanswered,
    latency: { bounds: LATENCY_BOUNDS, counts: counters.latencyBuckets, sum: counters.latencySum },
    flows: flowCounts(counters),
    flowsInserted: counters.tableEvents(INSERTED),
    flowsExpired: counters.tableEvents(EXPIRED),
    flowsEvicted: Object.fromEntries(
      WORTHS.map((worth, index) => [worth, counters.tableEvents(EVICTED + index)]),
    ) as Record<Worth, number>,
  };
}

function packetCounts(counters: WorkerCounters): PacketCount[] {
  return DIRECTIONS.flatMap((direction, side) =>
    [false, true].flatMap((audited) =>
      REASONS.map((reason, index) => {
        const verdict = verdictOf(index, audited);
        return { direction, verdict, reason, count: counters.packets(side, index, audited) } as const;
      }).filter(({ count }) => count > 0),
    ),
  );
}

function flowCounts(counters: WorkerCounters): FlowCount[] {
  return Array.from({ length: LISTS }, (_, list) => ({
    state: STATES[list & (REVOKED_LISTS - 1)] ?? 'none',
    revoked: list >= REVOKED_LISTS,
    count: counters.flows(list),
  })).filter(({ count }) => count > 0);
}
