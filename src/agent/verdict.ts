/** The verdict that a reason of the filter comes with. */
import { FIRST_DENY, MALFORMED, REASONS, type ReasonName } from '../filter/reasons.ts';
import type { Verdict } from '../telemetry/agent-view.ts';

/** @param audited whether only audited policies deny it, as the filter says of a packet; no policy is about what cannot be decoded */
export function verdictOf(reason: number, audited: boolean): Verdict {
  if (reason < FIRST_DENY) return 'allow';
  return audited && reason !== MALFORMED ? 'would_deny' : 'deny';
}

/** Each reason with each of its verdicts. */
export function verdictsOfReasons(): { readonly verdict: Verdict; readonly reason: ReasonName }[] {
  return REASONS.flatMap((reason, index) => {
    const verdicts = new Set([verdictOf(index, false), verdictOf(index, true)]);
    return [...verdicts].map((verdict) => ({ verdict, reason }));
  });
}
