/**
 * What the attempts of a pair prove. Pure: attempts and times in, outcomes out; all times in ms of
 * one clock.
 */
import { type Attempt, LIMIT, type Result } from './report-line.ts';
import {
  areNearlyAllAnswered,
  CONNECTED,
  DENIED,
  firstAnswer,
  firstRun,
  isAnswered,
  isConnected,
  isFailed,
  isOpenThroughout,
  isTurnedAway,
  longestGap,
  mostFrequent,
} from './series.ts';

/** An attempt that began this many ms before isolation should have been answered before it. */
const UNDER_WAY = 500;

/**
 * When the creation and the deletion of the policies were requested, and when the API server
 * answered.
 */
export interface Isolation {
  /** From here on every pair was connected. */
  readonly open: number;
  readonly asked: number;
  readonly answered: number;
  /**
   * From here on the policies are in force: every pair that they deny was seen denied, or the wait
   * for that timed out.
   */
  readonly inForce: number;
  readonly removalAsked: number;
  readonly removalAnswered: number;
  /** The witnesses were watched until here. All attempts that began before have ended. */
  readonly over: number;
}

export interface NotProved {
  readonly outcome: 'not proved';
  readonly reason: string;
  /** Whether the next round may have another outcome. */
  readonly passing?: boolean;
}

export type DeniedOutcome =
  | {
      readonly outcome: 'denied';
      /** How: `silent` for drops, `refused` or `unreachable` for rejects. */
      readonly by: Result;
      readonly attempts: number;
      readonly inForceAfter: number;
      readonly openAgainAfter: number;
    }
  | {
      readonly outcome: 'came through';
      readonly attempts: number;
      readonly answers: number;
      readonly inForceAfter?: number;
    }
  | NotProved;

export type AllowedOutcome =
  | { readonly outcome: 'allowed'; readonly attempts: number; readonly answers: number; readonly longestGap: number }
  /** Counts attempts since the policies came into force. */
  | { readonly outcome: 'refused'; readonly attempts: number; readonly answers: number }
  | NotProved;

export type HeldOutcome =
  | { readonly outcome: 'goes on' }
  | { readonly outcome: 'cut'; readonly after: number }
  | { readonly outcome: 'not known' };

export type NewPodOutcome =
  | {
      readonly outcome: 'holds';
      /** Connections that the pod opened before the policy held. */
      readonly connections: number;
      /** Milliseconds from the start of the pod's program to its first attempt. */
      readonly firstAfter: number;
      /** Milliseconds from the first attempt until the policy held. */
      readonly after: number;
    }
  | {
      readonly outcome: 'came through';
      readonly connections: number;
      /**
       * Milliseconds from the first attempt until the policy held, if it held before a connection
       * came through.
       */
      readonly after?: number;
    }
  | NotProved;

/** A witness and its attempts. */
export interface Witness {
  readonly name: string;
  readonly attempts: readonly Attempt[];
}

/**
 * Judges a pair that the policies deny. A denial counts only if the pair connected before isolation
 * and again after it, and the witnesses stayed open throughout. A connection that came through
 * needs no witness.
 */
export function judgeDenied(
  attempts: readonly Attempt[],
  times: Isolation,
  witnesses: readonly Witness[],
): DeniedOutcome {
  const during = duringIsolation(attempts, times);
  const denial = firstRun(during, DENIED, isTurnedAway);
  const answers = answersAfter(during, denial);
  if (answers > 0) {
    const cameThrough = { outcome: 'came through', attempts: during.length, answers } as const;
    return denial < 0 ? cameThrough : { ...cameThrough, inForceAfter: since(during[denial], times.answered) };
  }
  if (!isConnectedBefore(attempts, times)) return notProved('it did not connect before isolation');
  const doubt = doubtOf(during, denial) ?? obstacleOf(attempts, times, witnesses);
  if (doubt !== undefined) return doubt;
  const denied = during.slice(denial);
  const after = attempts.filter(({ start }) => start >= times.removalAsked);
  return {
    outcome: 'denied',
    by: mostFrequent(denied),
    attempts: denied.length,
    inForceAfter: since(denied[0], times.answered),
    openAgainAfter: Math.max(
      0,
      firstAnswer(after.slice(firstRun(after, CONNECTED, isAnswered))) - times.removalAnswered,
    ),
  };
}

/**
 * Judges a pair that the policies allow: does it still connect while they are in force? What is
 * lost while they come into force is only reported. If the pair connects before and after isolation
 * but not during it, while the witnesses do throughout, the policies are enforced wrongly.
 */
export function judgeAllowed(
  attempts: readonly Attempt[],
  times: Isolation,
  witnesses: readonly Witness[],
): AllowedOutcome {
  if (!isConnectedBefore(attempts, times)) return notProved('it did not connect before isolation');
  const inForce = whileInForce(attempts, times);
  if (inForce.length < DENIED) {
    return notProved(`only ${inForce.length} attempts were made while the policies were in force`);
  }
  if (areNearlyAllAnswered(inForce)) {
    const during = attempts.filter(({ start }) => start >= times.answered && start <= times.removalAsked - LIMIT);
    const answers = during.filter(isAnswered).length;
    return { outcome: 'allowed', attempts: during.length, answers, longestGap: longestGap(during) };
  }
  if (inForce.some(isFailed)) return notProved(FAILED);
  const obstacle = obstacleOf(attempts, times, witnesses);
  if (obstacle !== undefined) return obstacle;
  // A network that loses this much of all traffic is not an enforcer.
  const lossy = witnesses.find((witness) => !areNearlyAllAnswered(whileInForce(witness.attempts, times)));
  if (lossy !== undefined) return { ...notProved(`${lossy.name} lost packets too`), passing: true };
  return { outcome: 'refused', attempts: inForce.length, answers: inForce.filter(isAnswered).length };
}

/**
 * Judges a connection that was open before isolation: was it still answered during isolation? If it
 * is cut, the question that was waiting when isolation began gets no answer either.
 */
export function judgeHeld(attempts: readonly Attempt[], times: Isolation): HeldOutcome {
  const during = attempts.filter(({ end }) => end >= times.answered && end <= times.removalAsked);
  if (during.length === 0 || !isConnectedBefore(attempts, times)) return { outcome: 'not known' };
  const lastAnswer = during.findLastIndex(isAnswered);
  const missed = during.slice(lastAnswer + 1);
  if (missed.length >= DENIED || missed.some(({ result }) => result === 'closed')) {
    return { outcome: 'cut', after: since(missed[0], times.answered) };
  }
  return { outcome: 'goes on' };
}

/**
 * Judges a new pod whose policy was created before it. Connections before the first denial are
 * counted and allowed for; any connection after it came through.
 * @param started when the pod's program started
 */
export function judgeNewPod(
  attempts: readonly Attempt[],
  started: number,
  times: Isolation,
  witnesses: readonly Witness[],
): NewPodOutcome {
  const during = duringIsolation(attempts, times);
  const first = during[0]?.start ?? started;
  const connections = during.filter(isAnswered).length;
  const denial = firstRun(during, DENIED, isTurnedAway);
  const after = since(during[denial], first);
  if (answersAfter(during, denial) > 0) {
    const cameThrough = { outcome: 'came through', connections } as const;
    return denial < 0 ? cameThrough : { ...cameThrough, after };
  }
  const doubt = doubtOf(during, denial) ?? obstacleOf(attempts, times, witnesses);
  return doubt ?? { outcome: 'holds', connections, firstAfter: Math.max(0, first - started), after };
}

/** Returns the attempts that began and ended during isolation. */
function duringIsolation(attempts: readonly Attempt[], { answered, removalAsked }: Isolation): Attempt[] {
  return attempts.filter(({ start, end }) => start >= answered && end <= removalAsked);
}

function isConnectedBefore(attempts: readonly Attempt[], { asked }: Isolation): boolean {
  const before = attempts.filter(({ start, end }) => end <= asked || start <= asked - UNDER_WAY);
  return isConnected(before, Number.NEGATIVE_INFINITY);
}

/**
 * Returns the attempts that had their full time while the policies were in force, so only the
 * policies can have kept them from an answer.
 */
function whileInForce(attempts: readonly Attempt[], { inForce, removalAsked }: Isolation): Attempt[] {
  return attempts.filter(({ start }) => start >= inForce && start <= removalAsked - LIMIT);
}

/**
 * Counts the answers after the denial. Without a denial counts all answers, or 0 if there were too
 * few attempts to show a denial.
 */
function answersAfter(during: readonly Attempt[], denial: number): number {
  if (denial < 0 && during.length < DENIED) return 0;
  return during.slice(Math.max(denial, 0)).filter(isAnswered).length;
}

/** Returns why a pair without an answer may not have been denied. */
function doubtOf(during: readonly Attempt[], denial: number): NotProved | undefined {
  if (during.slice(Math.max(denial, 0)).some(isFailed)) return notProved(FAILED);
  return denial < 0 ? notProved(`only ${during.length} attempts were made during isolation`) : undefined;
}

/**
 * Returns why a pair that did not connect during isolation says nothing about the policies: it does
 * not connect without them either, or a witness did not connect.
 */
function obstacleOf(
  attempts: readonly Attempt[],
  { open, removalAsked, over }: Isolation,
  witnesses: readonly Witness[],
): NotProved | undefined {
  const after = attempts.filter(({ start }) => start >= removalAsked);
  if (firstRun(after, CONNECTED, isAnswered) < 0) return notProved('it did not connect again after isolation');
  const closed = witnesses.find((witness) => !isOpenThroughout(witness.attempts, open, over));
  return closed && { ...notProved(`${closed.name} was not open throughout`), passing: true };
}

/** Not negative: a change may be in force before the API server answers. */
function since(attempt: Attempt | undefined, moment: number): number {
  return Math.max(0, (attempt?.start ?? moment) - moment);
}

const FAILED = 'attempts failed in the pod itself';

function notProved(reason: string): NotProved {
  return { outcome: 'not proved', reason };
}
