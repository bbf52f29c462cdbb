/** The result of a canary run. */
import type { AllowedOutcome, DeniedOutcome, HeldOutcome, NewPodOutcome } from './judgement.ts';
import type { Check, Family, NewPodCheck } from './plan.ts';

export interface JudgedCheck {
  readonly check: Check;
  readonly denied: DeniedOutcome;
  readonly deniedHeld: HeldOutcome;
  readonly allowed: AllowedOutcome;
  readonly allowedHeld: HeldOutcome;
}

export interface JudgedNewPod {
  readonly check: NewPodCheck;
  readonly outcome: NewPodOutcome;
}

export interface CanaryResult {
  readonly nodes: readonly string[];
  readonly families: readonly Family[];
  /** How many rounds of isolation there were. */
  readonly rounds: number;
  readonly checks: readonly JudgedCheck[];
  readonly newPods: readonly JudgedNewPod[];
}
