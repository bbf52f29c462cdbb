/** The overall verdict of a run. */
import type { CanaryResult } from './result.ts';

/**
 * - `proved` every denial counted, and what is allowed still connected
 * - `wrong` something denied came through, or something allowed was refused
 * - `not proved` anything else
 */
export type Conclusion = 'proved' | 'wrong' | 'not proved';

/**
 * Held connections are reported but decide nothing. Of a new pod one thing counts: whether its
 * policy held at any time.
 */
export function conclusionOf({ checks, newPods }: CanaryResult): Conclusion {
  const outcomes = [
    ...checks.flatMap(({ denied, allowed }) => [denied.outcome, allowed.outcome]),
    ...newPods.map(({ outcome }) => outcome.outcome),
  ];
  if (outcomes.includes('came through') || outcomes.includes('refused')) return 'wrong';
  return outcomes.length === 0 || outcomes.includes('not proved') ? 'not proved' : 'proved';
}
