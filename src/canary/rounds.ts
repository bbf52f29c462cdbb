/**
 * Isolation is repeated where the control pair was not open throughout, as on a machine that is too busy for a while. What was proved once is proved; what
 * came through once came through.
 */

import { conclusionOf } from './conclusion.ts';
import type { HeldOutcome } from './judgement.ts';
import type { CanaryResult, JudgedCheck, JudgedNewPod } from './result.ts';

/** Whether another round may prove what this one has not. */
export function isWorthAnother(result: CanaryResult): boolean {
  if (conclusionOf(result) !== 'not proved') return false;
  const outcomes = [
    ...result.checks.flatMap(({ denied, allowed }) => [denied, allowed]),
    ...result.newPods.map(({ outcome }) => outcome),
  ];
  return outcomes.some((outcome) => outcome.outcome === 'not proved' && outcome.passing === true);
}

/** Both rounds are of the same checks, in the same order, each with new pods of its own. */
export function mergeRounds(earlier: CanaryResult, later: CanaryResult): CanaryResult {
  return {
    ...earlier,
    rounds: earlier.rounds + later.rounds,
    checks: earlier.checks.map((check, index) => mergeChecks(check, later.checks[index] ?? check)),
    newPods: earlier.newPods.map((each, index) => mergeNewPods(each, later.newPods[index] ?? each)),
  };
}

function mergeChecks(earlier: JudgedCheck, later: JudgedCheck): JudgedCheck {
  return {
    check: earlier.check,
    denied: counts(earlier.denied, later.denied, 'came through'),
    allowed: counts(earlier.allowed, later.allowed, 'refused'),
    deniedHeld: known(earlier.deniedHeld, later.deniedHeld),
    allowedHeld: known(earlier.allowedHeld, later.allowedHeld),
  };
}

function mergeNewPods(earlier: JudgedNewPod, later: JudgedNewPod): JudgedNewPod {
  return { check: earlier.check, outcome: counts(earlier.outcome, later.outcome, 'came through') };
}

function counts<T extends { readonly outcome: string }>(earlier: T, later: T, wrong: string): T {
  if (later.outcome === wrong || earlier.outcome === 'not proved') return later;
  return earlier;
}

/** A connection is cut once. */
function known(earlier: HeldOutcome, later: HeldOutcome): HeldOutcome {
  return earlier.outcome === 'not known' ? later : earlier;
}
