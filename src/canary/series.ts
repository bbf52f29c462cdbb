/**
 * What the attempts of one pair show, by themselves. Pure; attempts are in the order of their
 * start.
 */
import type { Attempt, Result } from './report-line.ts';

/** So many answers in a row, and a pair is connected. */
export const CONNECTED = 3;
/**
 * So many attempts in a row without an answer, and a pair is denied; an answer after that is one
 * that came through.
 */
export const DENIED = 10;
/** A network may lose so many packets, and no more in a row. */
const MISSES = 3;
/**
 * The longest silence of a pair that is open throughout: a pod that does not report proves nothing.
 * Attempts are no further apart than 500 ms.
 */
const SILENCE = 3_000;

export function isAnswered({ result }: Attempt): boolean {
  return result === 'answered';
}

function isUnanswered({ result }: Attempt): boolean {
  return result !== 'answered';
}

/** Failed for a reason of the pod's own. */
export function isFailed({ result }: Attempt): boolean {
  return result === 'failed';
}

/** Turned away on the way, whether with an answer that says so or without a word. */
export function isTurnedAway(attempt: Attempt): boolean {
  return isUnanswered(attempt) && !isFailed(attempt);
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

/** Whether nothing was lost between the two times but a few packets. */
export function isOpenThroughout(attempts: readonly Attempt[], from: number, to: number): boolean {
  const between = attempts.filter(({ start }) => start >= from && start <= to);
  if (firstRun(between, MISSES + 1, isUnanswered) >= 0) return false;
  const times = [from, ...between.filter(isAnswered).map(({ start }) => start), to];
  return times.every((time, index) => time - (times[index - 1] ?? time) <= SILENCE);
}

/** Whether no more were lost than a network loses: one in ten, or a few. */
export function areNearlyAllAnswered(attempts: readonly Attempt[]): boolean {
  return attempts.filter(isUnanswered).length <= Math.max(MISSES, attempts.length / 10);
}

/** Where the first run of so many begins, or -1. */
export function firstRun(attempts: readonly Attempt[], count: number, test: (attempt: Attempt) => boolean): number {
  let run = 0;
  for (const [index, attempt] of attempts.entries()) {
    run = test(attempt) ? run + 1 : 0;
    if (run === count) return index - count + 1;
  }
  return -1;
}

/**
 * Milliseconds from the first of the attempts without an answer to the next answer, where they are
 * more than a lost packet.
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
 * The first answer is not always that of the first attempt, whose SYN may have been dropped and
 * sent again a second later.
 */
export function firstAnswer(attempts: readonly Attempt[]): number {
  return attempts.filter(isAnswered).reduce((first, { end }) => Math.min(first, end), Number.POSITIVE_INFINITY);
}
