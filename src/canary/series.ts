/** What the attempts of one pair show. Pure; attempts are ordered by their start. */
import type { Attempt, Result } from './report-line.ts';

/** A pair is connected after this many answers in a row. */
export const CONNECTED = 3;
/** A pair is denied after this many unanswered attempts in a row; any later answer came through. */
export const DENIED = 10;
/** A network may lose this many packets in a row, but no more. */
const MISSES = 3;
/**
 * Milliseconds: the longest silence of a pair that counts as open. A pod that does not report
 * proves nothing. Attempts are at most 500 ms apart.
 */
const SILENCE = 3_000;

export function isAnswered({ result }: Attempt): boolean {
  return result === 'answered';
}

function isUnanswered({ result }: Attempt): boolean {
  return result !== 'answered';
}

/** Whether it failed for a reason in the pod itself. */
export function isFailed({ result }: Attempt): boolean {
  return result === 'failed';
}

/** Whether the network turned it away, by a rejection or by silence. */
export function isTurnedAway(attempt: Attempt): boolean {
  return isUnanswered(attempt) && !isFailed(attempt);
}

/** Whether the latest attempts, of those that began at `from` or later, were all answered. */
export function isConnected(attempts: readonly Attempt[], from: number): boolean {
  const last = attempts.filter(({ start }) => start >= from).slice(-CONNECTED);
  return last.length === CONNECTED && last.every(isAnswered);
}

/**
 * Whether the latest `count` attempts, of those that began at `from` or later, were all unanswered.
 */
export function isDenied(attempts: readonly Attempt[], from: number, count: number): boolean {
  const last = attempts.filter(({ start }) => start >= from).slice(-count);
  return last.length === count && last.every(isUnanswered);
}

/** Whether no more than a few packets were lost between the two times. */
export function isOpenThroughout(attempts: readonly Attempt[], from: number, to: number): boolean {
  const between = attempts.filter(({ start }) => start >= from && start <= to);
  if (firstRun(between, MISSES + 1, isUnanswered) >= 0) return false;
  const times = [from, ...between.filter(isAnswered).map(({ start }) => start), to];
  return times.every((time, index) => time - (times[index - 1] ?? time) <= SILENCE);
}

/** Whether losses are within what a network loses: one in ten, or a few. */
export function areNearlyAllAnswered(attempts: readonly Attempt[]): boolean {
  return attempts.filter(isUnanswered).length <= Math.max(MISSES, attempts.length / 10);
}

/** Returns the index where the first run of `count` matching attempts begins, or -1. */
export function firstRun(attempts: readonly Attempt[], count: number, test: (attempt: Attempt) => boolean): number {
  let run = 0;
  for (const [index, attempt] of attempts.entries()) {
    run = test(attempt) ? run + 1 : 0;
    if (run === count) return index - count + 1;
  }
  return -1;
}

/**
 * Returns the milliseconds from the first of several unanswered attempts to the next answer. A run
 * short enough to be packet loss does not count.
 */
export function longestGap(attempts: readonly Attempt[]): number {
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

export function mostFrequent(attempts: readonly Attempt[]): Result {
  const counts = new Map<Result, number>();
  for (const { result } of attempts) counts.set(result, (counts.get(result) ?? 0) + 1);
  return [...counts].reduce((most, each) => (each[1] > most[1] ? each : most), ['silent', 0] as [Result, number])[0];
}

/**
 * Returns when the first answer arrived. It need not belong to the first attempt, whose SYN may
 * have been dropped and retransmitted a second later.
 */
export function firstAnswer(attempts: readonly Attempt[]): number {
  return attempts.filter(isAnswered).reduce((first, { end }) => Math.min(first, end), Number.POSITIVE_INFINITY);
}
