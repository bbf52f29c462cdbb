/** Gives the counters of the judging threads their names. */

import type { AgentCounters, FlowCount, PacketCount } from '../agent-state/counters.ts';
import { DIRECTIONS } from '../cluster/records.ts';
import { EVICTED, EXPIRED, INSERTED } from '../conntrack/flow-table.ts';
import { LISTS, REVOKED_LISTS } from '../conntrack/slots.ts';
import { STATES, WORTHS, type Worth } from '../conntrack/states.ts';
import { REASONS } from '../filter/reasons.ts';
import { verdictOf } from '../filter/verdict.ts';
import { LATENCY_BOUNDS, type WorkerCounters } from '../judging/counters.ts';

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

/** Returns the workers' counters by name. */
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
