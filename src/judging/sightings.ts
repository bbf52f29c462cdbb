/** Reports judged packets as flow events. */
import { OTHER } from '../conntrack/states.ts';
import type { Filter } from '../filter/filter.ts';
import { REVOKED } from '../filter/reasons.ts';
import type { FlowEvents } from '../flows/flow-events.ts';

/**
 * Reports the packet judged last. A revoked flow is reported in its opening direction, whichever
 * way the packet goes; ICMP errors about it are not reported.
 */
export function tell(events: FlowEvents, filter: Filter, reason: number): void {
  const { packet } = filter;
  if (reason === REVOKED && packet.quotesFlow) return;
  events.write(packet, reason, filter.direction, filter.isAudited, reason === REVOKED && filter.side === OTHER);
}
