/** What every thread judges with that is commanded as a queue's worker. */
import { FlowTable } from '../conntrack/flow-table.ts';
import { Filter } from '../filter/filter.ts';
import { FlowEvents } from '../flows/flow-events.ts';
import { RuleTable } from '../policy/rule-table.ts';
import { inlineMore } from '../sys/engine.ts';
import { adviseHugePages } from '../sys/libc.ts';
import { WorkerCounters } from './counters.ts';
import type { JudgingSetup } from './protocol.ts';

/**
 * Of a TCP connection that the kernel carries on, a worker sees the SYN alone, and then nothing until the kernel has forgotten it: half closed and silent
 * for a minute is enough (nf_conntrack_tcp_timeout_close_wait). So long, in ms, the next packet finds that it was allowed.
 */
const OFFLOADED = { tcpSynSent: 15 * 60_000 };

export interface JudgingParts {
  readonly filter: Filter;
  readonly counters: WorkerCounters;
  /** Where flows are told of; none where nobody asks. */
  readonly events: FlowEvents | undefined;
}

/** Called once by the thread, which is tuned for it. */
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
