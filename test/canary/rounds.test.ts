import { describe, expect, it } from 'vitest';
import { conclusionOf } from '../../src/canary/conclusion.ts';
import type { AllowedOutcome, DeniedOutcome, HeldOutcome, NewPodOutcome } from '../../src/canary/judgement.ts';
import { makePlan } from '../../src/canary/plan.ts';
import type { CanaryResult } from '../../src/canary/result.ts';
import { isWorthAnother, mergeRounds } from '../../src/canary/rounds.ts';

const DENIED: DeniedOutcome = { outcome: 'denied', by: 'silent', attempts: 30, inForceAfter: 1, openAgainAfter: 1 };
const THROUGH: DeniedOutcome = { outcome: 'came through', attempts: 30, answers: 1 };
const ALLOWED: AllowedOutcome = { outcome: 'allowed', attempts: 30, answers: 30, longestGap: 0 };
const REFUSED: AllowedOutcome = { outcome: 'refused', attempts: 30, answers: 0 };
const HOLDS: NewPodOutcome = { outcome: 'holds', connections: 0, firstAfter: 1, after: 0 };
const BUSY = { outcome: 'not proved', reason: 'busy', passing: true } as const;
const HOPELESS = { outcome: 'not proved', reason: 'it did not connect before isolation' } as const;
const CUT: HeldOutcome = { outcome: 'cut', after: 1 };
const UNKNOWN: HeldOutcome = { outcome: 'not known' };

const { checks, newPods } = makePlan(['a'], ['IPv4'], 1);

function round(
  denied: DeniedOutcome,
  allowed: AllowedOutcome = ALLOWED,
  newPod: NewPodOutcome = HOLDS,
  held: HeldOutcome = CUT,
): CanaryResult {
  return {
    nodes: ['a'],
    families: ['IPv4'],
    rounds: 1,
    checks: checks.map((check) => ({ check, denied, allowed, deniedHeld: held, allowedHeld: held })),
    newPods: newPods.map((check) => ({ check, outcome: newPod })),
  };
}

describe('a verdict', () => {
  it.each([
    ['everything is as the policies say', round(DENIED), 'proved'],
    ['something denied came through', round(THROUGH), 'wrong'],
    ['something allowed was refused', round(DENIED, REFUSED), 'wrong'],
    ['no policy ever held for a new pod', round(DENIED, ALLOWED, { outcome: 'came through', connections: 9 }), 'wrong'],
    ['a denial is not proved', round(BUSY), 'not proved'],
    ['an allowance is not proved', round(DENIED, HOPELESS), 'not proved'],
    ['something came through and the rest is not proved', round(THROUGH, BUSY, BUSY), 'wrong'],
    ['nothing was checked', { ...round(DENIED), checks: [], newPods: [] }, 'not proved'],
    ['an open connection goes on', round(DENIED, ALLOWED, HOLDS, { outcome: 'goes on' }), 'proved'],
  ] as const)('if %s', (_, result, verdict) => {
    expect(conclusionOf(result)).toBe(verdict);
  });
});

describe('another round', () => {
  it.each([
    ['the control pair was not open throughout', round(BUSY), true],
    ['a new pod was not proved for that', round(DENIED, ALLOWED, BUSY), true],
    ['all is proved', round(DENIED), false],
    ['something came through', round(THROUGH, BUSY), false],
    ['it would be the same again', round(HOPELESS, HOPELESS), false],
  ] as const)('is worthwhile if %s: %s', (_, result, worth) => {
    expect(isWorthAnother(result)).toBe(worth);
  });

  it('proves what the previous one did not', () => {
    const merged = mergeRounds(round(BUSY, BUSY, BUSY, UNKNOWN), round(DENIED, ALLOWED, HOLDS, CUT));
    expect(conclusionOf(merged)).toBe('proved');
    expect(merged.rounds).toBe(2);
    expect(merged.checks[0]?.deniedHeld).toEqual(CUT);
  });

  it('keeps what was proved before, and how connections were cut', () => {
    const merged = mergeRounds(round(DENIED, ALLOWED, HOLDS, CUT), round(BUSY, BUSY, BUSY, UNKNOWN));
    expect(conclusionOf(merged)).toBe('proved');
    expect(merged.checks[0]?.deniedHeld).toEqual(CUT);
  });

  it.each([
    ['comes through', round(THROUGH)],
    ['is refused', round(DENIED, REFUSED)],
  ])('reports what %s in it, whatever was proved before', (_, later) => {
    expect(conclusionOf(mergeRounds(round(DENIED), later))).toBe('wrong');
  });
});
