/** What the attempts of a pair prove. Pure: attempts and times in, outcomes out; all times in ms of one clock. */
import type { Attempt, Result } from './report-line.ts';

/** So many answers in a row, and a pair is connected. */
const CONNECTED = 3;
/** So many attempts in a row without an answer, and a pair is denied; an answer after that is one that came through. */
export const DENIED = 10;
/** A pair is open throughout if it never misses more answers in a row: a network may lose a packet. */
const MISSES = 3;
/** The longest silence of a pair that is open throughout: a pod that does not report proves nothing. Attempts are no further apart than 500 ms. */
const SILENCE = 3_000;
/** An attempt that began so many ms before isolation should have been answered before it. */
const UNDER_WAY = 500;

/** When policies were asked for and answered for by the API server, and the same of their deletion. */
export interface Isolation {
  /** From here on every pair was connected. */
  readonly open: number;
  readonly asked: number;
  readonly answered: number;
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
  | { readonly outcome: 'came through'; readonly connections: number }
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
  const denial = firstRun(during, DENIED, isUnanswered);
  const answers = during.slice(Math.max(denial, 0)).filter(isAnswered).length;
  if (answers > 0 && (denial >= 0 || during.length >= DENIED)) {
    const cameThrough = { outcome: 'came through', attempts: during.length, answers } as const;
    return denial < 0 ? cameThrough : { ...cameThrough, inForceAfter: since(during[denial], times.answered) };
  }
  if (!isConnectedBefore(attempts, times)) return notProved('it did not connect before isolation');
  if (denial < 0) return notProved(`only ${during.length} attempts were made during isolation`);
  const after = attempts.filter(({ start }) => start >= times.removalAsked);
  const again = firstRun(after, CONNECTED, isAnswered);
  if (again < 0) return notProved('it did not connect again after isolation');
  const closed = closedWitness(witnesses, times);
  if (closed !== undefined) return { ...notProved(`${closed} was not open throughout`), passing: true };
  const denied = during.slice(denial);
  if (denied.some(({ result }) => result === 'failed')) return notProved('attempts failed in the pod itself');
  return {
    outcome: 'denied',
    by: mostFrequent(denied),
    attempts: denied.length,
    inForceAfter: since(denied[0], times.answered),
    openAgainAfter: Math.max(0, firstAnswer(after.slice(again)) - times.removalAnswered),
  };
}

/** Allowed is what still connects when isolation is in force. Where it does not, but the witnesses do, the policies are enforced wrongly. */
export function judgeAllowed(
  attempts: readonly Attempt[],
  times: Isolation,
  witnesses: readonly Witness[],
): AllowedOutcome {
  const during = duringIsolation(attempts, times);
  if (!isConnectedBefore(attempts, times)) return notProved('it did not connect before isolation');
  if (during.length < DENIED) return notProved(`only ${during.length} attempts were made during isolation`);
  const answers = during.filter(isAnswered).length;
  if (during.slice(-DENIED).filter(isAnswered).length > DENIED / 2) {
    return { outcome: 'allowed', attempts: during.length, answers, longestGap: longestGap(during) };
  }
  const closed = closedWitness(witnesses, times);
  if (closed !== undefined) return { ...notProved(`${closed} was not open throughout`), passing: true };
  return { outcome: 'refused', attempts: during.length, answers };
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
 * A new pod whose policy was there before it: what it got out counts until it is denied.
 * @param started when the pod's program started
 */
export function judgeNewPod(
  attempts: readonly Attempt[],
  started: number,
  times: Isolation,
  witnesses: readonly Witness[],
): NewPodOutcome {
  const during = duringIsolation(attempts, times);
  const lastAnswer = during.findLastIndex(isAnswered);
  const denied = during.slice(lastAnswer + 1);
  const connections = during.filter(isAnswered).length;
  if (during.length < DENIED) return notProved(`only ${during.length} attempts were made during isolation`);
  if (denied.length < DENIED) return { outcome: 'came through', connections };
  if (
    firstRun(
      attempts.filter(({ start }) => start >= times.removalAsked),
      CONNECTED,
      isAnswered,
    ) < 0
  ) {
    return notProved('it did not connect after isolation');
  }
  const closed = closedWitness(witnesses, times);
  if (closed !== undefined) return { ...notProved(`${closed} was not open throughout`), passing: true };
  const first = during[0]?.start ?? started;
  return { outcome: 'holds', connections, firstAfter: Math.max(0, first - started), after: since(denied[0], first) };
}

/** Whether the last attempts, made from `from` on, were answered. */
export function isConnected(attempts: readonly Attempt[], from: number): boolean {
  const last = attempts.filter(({ start }) => start >= from).slice(-CONNECTED);
  return last.length === CONNECTED && last.every(isAnswered);
}

/** Whether the last `count` attempts, made from `from` on, were not. */
export function isDenied(attempts: readonly Attempt[], from: number, count: number): boolean {
  const last = attempts.filter(({ start }) => start >= from).slice(-count);
  return last.length === count && last.every(isUnanswered);
}

/** Attempts that can only have met isolation, and answers that came while it was. */
function duringIsolation(attempts: readonly Attempt[], { answered, removalAsked }: Isolation): Attempt[] {
  return attempts.filter(({ start, end }) => start >= answered && end <= removalAsked);
}

function isConnectedBefore(attempts: readonly Attempt[], { asked }: Isolation): boolean {
  const before = attempts.filter(({ start, end }) => end <= asked || start <= asked - UNDER_WAY);
  return isConnected(before, Number.NEGATIVE_INFINITY);
}

function closedWitness(witnesses: readonly Witness[], times: Isolation): string | undefined {
  return witnesses.find(({ attempts }) => !isOpenThroughout(attempts, times))?.name;
}

function isOpenThroughout(attempts: readonly Attempt[], { open, over }: Isolation): boolean {
  const between = attempts.filter(({ start }) => start >= open && start <= over);
  if (firstRun(between, MISSES + 1, isUnanswered) >= 0) return false;
  const times = [open, ...between.filter(isAnswered).map(({ start }) => start), over];
  return times.every((time, index) => time - (times[index - 1] ?? time) <= SILENCE);
}

/** Where the first run of so many begins, or -1. */
function firstRun(attempts: readonly Attempt[], count: number, test: (attempt: Attempt) => boolean): number {
  let run = 0;
  for (const [index, attempt] of attempts.entries()) {
    run = test(attempt) ? run + 1 : 0;
    if (run === count) return index - count + 1;
  }
  return -1;
}

/** Milliseconds from the first of the attempts without an answer to the next answer, where they are more than a lost packet. */
function longestGap(attempts: readonly Attempt[]): number {
  let longest = 0;
  let first = -1;
  for (const [index, { start, result }] of attempts.entries()) {
    if (result !== 'answered') {
      if (first < 0) first = index;
    } else if (first >= 0) {
      if (index - first > MISSES) longest = Math.max(longest, start - (attempts[first]?.start ?? start));
      first = -1;
    }
  }
  return longest;
}

function mostFrequent(attempts: readonly Attempt[]): Result {
  const counts = new Map<Result, number>();
  for (const { result } of attempts) counts.set(result, (counts.get(result) ?? 0) + 1);
  return [...counts].reduce((most, each) => (each[1] > most[1] ? each : most), ['silent', 0] as [Result, number])[0];
}

/** The first answer is not always that of the first attempt, whose SYN may have been dropped and sent again a second later. */
function firstAnswer(attempts: readonly Attempt[]): number {
  return attempts.filter(isAnswered).reduce((first, { end }) => Math.min(first, end), Number.POSITIVE_INFINITY);
}

/** A change may be in force before its answer has come. */
function since(attempt: Attempt | undefined, moment: number): number {
  return Math.max(0, (attempt?.start ?? moment) - moment);
}

function isAnswered({ result }: Attempt): boolean {
  return result === 'answered';
}

function isUnanswered({ result }: Attempt): boolean {
  return result !== 'answered';
}

function notProved(reason: string): NotProved {
  return { outcome: 'not proved', reason };
}
