/** The verdict that a reason of the filter comes with. */
import { FIRST_DENY, REASONS, type ReasonName } from './reasons.ts';

/** `would_deny`: audited policies deny it, and it passes. */
export const VERDICTS = ['allow', 'deny', 'would_deny'] as const;
export type Verdict = (typeof VERDICTS)[number];
/** Of a flow that is denied or not, whatever audited policies would do. */
export type EnforcedVerdict = Exclude<Verdict, 'would_deny'>;

/** @param audited whether it passed all the same, as the filter says of a packet that only audited policies deny */
export function verdictOf(reason: number, audited: boolean): Verdict {
  if (reason < FIRST_DENY) return 'allow';
  return audited ? 'would_deny' : 'deny';
}

/** Each reason with each of its verdicts. */
export function verdictsOfReasons(): { readonly verdict: Verdict; readonly reason: ReasonName }[] {
  return REASONS.flatMap((reason, index) => {
    const verdicts = new Set([verdictOf(index, false), verdictOf(index, true)]);
    return [...verdicts].map((verdict) => ({ verdict, reason }));
  });
}
