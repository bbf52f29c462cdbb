/** The parts that every judging thread is built from. */
import { FlowTable } from '../conntrack/flow-table.ts';
import { Filter } from '../filter/filter.ts';
import { FlowEvents } from '../flows/flow-events.ts';
import { RuleTable } from '../policy/rule-table.ts';
import { inlineMore } from '../sys/engine.ts';
import { adviseHugePages } from '../sys/libc.ts';
import { WorkerCounters } from './counters.ts';
import type { JudgingSetup } from './protocol.ts';

/**
 * Timeouts in ms with offload, longer than the kernel's. A worker sees only the SYN of a TCP
 * connection that the kernel carries, and nothing more until the kernel forgets the connection: a
 * half-closed one after a minute of silence (nf_conntrack_tcp_timeout_close_wait). The next packet
 * must still find that the flow was allowed.
 */
const OFFLOADED = { tcpSynSent: 15 * 60_000 };

export interface JudgingParts {
  readonly filter: Filter;
  readonly counters: WorkerCounters;
  /** Ring that flows are reported to; undefined if nothing reads it. */
  readonly events: FlowEvents | undefined;
}

/** Builds the parts and tunes the engine for judging. The thread calls it once. */
export function judgingParts({ table, counters, events, flowCapacity, offload }: JudgingSetup): JudgingParts {
  const flows = new FlowTable(flowCapacity, offload ? OFFLOADED : {});
  adviseHugePages(flows.words);
  adviseHugePages(flows.buckets);
  inlineMore();
  return {
    filter: new Filter(flows, new RuleTable(table)),
    counters: new WorkerCounters(counters),
    events: events && new FlowEvents(events),
  };
}
