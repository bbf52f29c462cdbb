/** Who else writes the bits of connections' marks by which podfence knows what it has judged. */
import { type Finding, finding } from './finding.ts';
import type { RuleMark } from './rule-dumps.ts';

/** Those that an agent has without --mark-mask; DEFAULT_MARK of dataplane/steering/state.ts. */
export const USUAL_BITS = 0x03000000;

/** Nothing where nobody does: most nodes have no such rule. */
export function markBits(marks: readonly RuleMark[]): Finding[] {
  const own = marks.filter(({ ours }) => ours).reduce((bits, mark) => bits | mark.bits, 0) || USUAL_BITS;
  const found = marks.flatMap(({ ours, bits, place }) => {
    const shared = (bits & own) >>> 0;
    if (ours || shared === 0) return [];
    return finding(
      'mark-bits',
      'warning',
      'certain',
      `A rule that is not podfence's (${place}) writes bits 0x${shared.toString(16)} of connections' marks, by which podfence knows what it has judged: a connection that gets them there may pass unjudged, one that loses them is judged anew.`,
      'Give podfence bits that nobody else writes: --mark-mask.',
    );
  });
  return [...new Map(found.map((each) => [each.message, each])).values()];
}
