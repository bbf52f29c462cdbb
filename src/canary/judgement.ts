/** What the attempts of a pair prove. Pure: attempts and times in, outcomes out; all times in ms of one clock. */
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

/** An attempt that began so many ms before isolation should have been answered before it. */
const UNDER_WAY = 500;

/** When policies were asked for and answered for by the API server, and the same of their deletion. */
export interface Isolation {
  /** From here on every pair was connected. */
  readonly open: number;
  readonly asked: number;
  readonly answered: number;
  /**
   * From here on the policies are in force: every pair that they deny was seen to be denied, or was
   * waited for in vain.
   */
  readonly inForce: number;
  readonly removalAsked: number;
  readonly removalAnswered: number;
  /** Until here the witnesses were open. All attempts that began before have ended. */
  readonly over: number;
}

export interface NotProved {
  readonly outcome: 'not proved';
  readonly reason: string;
  /** Whether it may be otherwise the next time. */
  readonly passing?: boolean;
}

export type DeniedOutcome =
  | {
      readonly outcome: 'denied';
      /** How: `silent`, as by a drop, or `refused` or `unreachable`, as by a reject. */
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
  /** Counted from when the policies were in force. */
  | { readonly outcome: 'refused'; readonly attempts: number; readonly answers: number }
  | NotProved;

export type HeldOutcome =
  | { readonly outcome: 'goes on' }
  | { readonly outcome: 'cut'; readonly after: number }
  | { readonly outcome: 'not known' };

export type NewPodOutcome =
  | {
      readonly outcome: 'holds';
      /** Connections that got out before the policy held. */
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
       * Milliseconds from the first attempt until the policy held, where it did before a connection
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
 * A denial counts only if the pair connected before isolation and again after it, with the witnesses open throughout. A connection that comes
 * through needs no witness.
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
 * Allowed is what still connects while the policies are in force; what is lost while they come is
 * told of, no more. Where it does not connect, but did before and does again after, and the
 * witnesses do throughout, the policies are enforced wrongly.
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
  // A network that loses this much of everything is no enforcer.
  const lossy = witnesses.find((witness) => !areNearlyAllAnswered(whileInForce(witness.attempts, times)));
  if (lossy !== undefined) return { ...notProved(`${lossy.name} lost packets too`), passing: true };
  return { outcome: 'refused', attempts: inForce.length, answers: inForce.filter(isAnswered).length };
}

/** Whether a connection that was open before isolation was used after it. What waited for its answer when isolation came waits in vain where it is cut. */
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
 * A new pod whose policy was there before it: what it got out counts until it is denied. What comes
 * through after that came through.
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

/** Attempts that can only have met isolation, and answers that came while it was. */
function duringIsolation(attempts: readonly Attempt[], { answered, removalAsked }: Isolation): Attempt[] {
  return attempts.filter(({ start, end }) => start >= answered && end <= removalAsked);
}

function isConnectedBefore(attempts: readonly Attempt[], { asked }: Isolation): boolean {
  const before = attempts.filter(({ start, end }) => end <= asked || start <= asked - UNDER_WAY);
  return isConnected(before, Number.NEGATIVE_INFINITY);
}

/**
 * Attempts that only the policies in force can have kept from an answer: each had all its time
 * before they went.
 */
function whileInForce(attempts: readonly Attempt[], { inForce, removalAsked }: Isolation): Attempt[] {
  return attempts.filter(({ start }) => start >= inForce && start <= removalAsked - LIMIT);
}

/**
 * Answers that came through: after the denial, or any where there was none, and time enough for it.
 */
function answersAfter(during: readonly Attempt[], denial: number): number {
  if (denial < 0 && during.length < DENIED) return 0;
  return during.slice(Math.max(denial, 0)).filter(isAnswered).length;
}

/** Why a pair without an answer may not have been denied. */
function doubtOf(during: readonly Attempt[], denial: number): NotProved | undefined {
  if (during.slice(Math.max(denial, 0)).some(isFailed)) return notProved(FAILED);
  return denial < 0 ? notProved(`only ${during.length} attempts were made during isolation`) : undefined;
}

/**
 * Why what did not connect during isolation says nothing about the policies: it does not connect
 * without them either, or a witness did not connect.
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

/** A change may be in force before its answer has come. */
function since(attempt: Attempt | undefined, moment: number): number {
  return Math.max(0, (attempt?.start ?? moment) - moment);
}

const FAILED = 'attempts failed in the pod itself';

function notProved(reason: string): NotProved {
  return { outcome: 'not proved', reason };
}
