/** The verdict that each reason of the filter implies. */
import { FIRST_DENY, REASONS, type ReasonName } from './reasons.ts';

/** `would_deny`: audited policies deny the packet, and it passes. */
export const VERDICTS = ['allow', 'deny', 'would_deny'] as const;
export type Verdict = (typeof VERDICTS)[number];
/** Of a flow that is denied or not, whatever audited policies would do. */
export type EnforcedVerdict = Exclude<Verdict, 'would_deny'>;

/** @param audited whether only audited policies deny the packet, so that it passes */
export function verdictOf(reason: number, audited: boolean): Verdict {
  if (reason < FIRST_DENY) return 'allow';
  return audited ? 'would_deny' : 'deny';
}

/** Returns every reason with each verdict that it can have. */
export function verdictsOfReasons(): { readonly verdict: Verdict; readonly reason: ReasonName }[] {
  return REASONS.flatMap((reason, index) => {
    const verdicts = new Set([verdictOf(index, false), verdictOf(index, true)]);
    return [...verdicts].map((verdict) => ({ verdict, reason }));
  });
}
