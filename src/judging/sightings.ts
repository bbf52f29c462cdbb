/** What is told of the packets that a filter judges. */
import { OTHER } from '../conntrack/states.ts';
import type { Filter } from '../filter/filter.ts';
import { REVOKED } from '../filter/reasons.ts';
import type { FlowEvents } from '../flows/flow-events.ts';

/** Tells of the packet judged last. A revoked flow is told of as it was opened, whichever way the packet goes, and not by the ICMP errors about it. */
export function tell(events: FlowEvents, filter: Filter, reason: number): void {
  const { packet } = filter;
  if (reason === REVOKED && packet.quotesFlow) return;
  events.write(packet, reason, filter.direction, filter.isAudited, reason === REVOKED && filter.side === OTHER);
}
