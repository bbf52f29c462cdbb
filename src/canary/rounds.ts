/**
 * Repeats isolation if the control pair was not open throughout, for example on a machine that is
 * too busy for a while. What one round proved stays proved, and what came through in one round came
 * through.
 */

import { conclusionOf } from './conclusion.ts';
import type { HeldOutcome } from './judgement.ts';
import type { CanaryResult, JudgedCheck, JudgedNewPod } from './result.ts';

/** Whether another round may prove what this one did not. */
export function isWorthAnother(result: CanaryResult): boolean {
  if (conclusionOf(result) !== 'not proved') return false;
  const outcomes = [
    ...result.checks.flatMap(({ denied, allowed }) => [denied, allowed]),
    ...result.newPods.map(({ outcome }) => outcome),
  ];
  return outcomes.some((outcome) => outcome.outcome === 'not proved' && outcome.passing === true);
}

/** Merges two rounds of the same checks in the same order; each round has its own new pods. */
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

/** A connection is cut only once, so the earlier outcome stands. */
function known(earlier: HeldOutcome, later: HeldOutcome): HeldOutcome {
  return earlier.outcome === 'not known' ? later : earlier;
}
