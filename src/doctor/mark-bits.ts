/**
 * Finds other software that writes the connection mark bits in which podfence notes what it has
 * judged.
 */
import { type Finding, finding } from './finding.ts';
import type { RuleMark } from './rule-dumps.ts';

/** The bits that an agent uses without --mark-mask; DEFAULT_MARK of dataplane/steering/state.ts. */
export const USUAL_BITS = 0x03000000;

/** Returns nothing if no foreign rule writes them, as on most nodes. */
export function markBits(marks: readonly RuleMark[]): Finding[] {
  const own = marks.filter(({ ours }) => ours).reduce((bits, mark) => bits | mark.bits, 0) || USUAL_BITS;
  const found = marks.flatMap(({ ours, bits, place }) => {
    const shared = (bits & own) >>> 0;
    if (ours || shared === 0) return [];
    return finding(
      'mark-bits',
      'warning',
      'certain',
      `A rule that is not podfence's (${place}) writes bits 0x${shared.toString(16)} of connection marks, in which podfence notes what it has judged: a connection that gets them from this rule may pass unjudged, and one that loses them is judged again.`,
      'Give podfence bits that no other software writes: --mark-mask.',
    );
  });
  return [...new Map(found.map((each) => [each.message, each])).values()];
}
