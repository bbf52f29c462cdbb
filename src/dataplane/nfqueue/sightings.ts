/** What is told of the packets that a filter judges. */
import { OTHER } from '../../conntrack/states.ts';
import type { Filter } from '../../filter/filter.ts';
import {
  ADOPTED,
  ALLOWED_BY_POLICY,
  EGRESS_DENIED,
  FRAGMENT,
  INGRESS_DENIED,
  MID_STREAM,
  NOT_ISOLATED,
  REVOKED,
} from '../../filter/reasons.ts';
import type { FlowEvents } from './flow-events.ts';

/** Is it the first packet of a flow, or one that is denied? Of what belongs to an open flow, or never is a matter of policies, nobody is told. */
export function opensOrIsDenied(reason: number): boolean {
  switch (reason) {
    case NOT_ISOLATED:
    case ALLOWED_BY_POLICY:
    case ADOPTED:
    case EGRESS_DENIED:
    case INGRESS_DENIED:
    case MID_STREAM:
    case REVOKED:
    case FRAGMENT:
      return true;
    default:
      return false;
  }
}

/** Tells of the packet judged last. A revoked flow is told of as it was opened, whichever way the packet goes, and not by the ICMP errors about it. */
export function tell(events: FlowEvents, filter: Filter, reason: number): void {
  const { packet } = filter;
  if (reason === REVOKED && packet.quotesFlow) return;
  events.write(packet, reason, filter.direction, filter.isAudited, reason === REVOKED && filter.flows.side === OTHER);
}
