/** Waits that together take no longer than one limit. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LateError, SharedDeadline } from '../../src/sys/shared-deadline.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** What a wait has come to; undefined while it lasts. */
function outcomeOf(wait: Promise<unknown>): { value?: unknown } {
  const outcome: { value?: unknown } = {};
  void wait.then((value) => {
    outcome.value = value ?? 'done';
  });
  return outcome;
}

test('work that is done in time is waited for, and its error returned', async () => {
  const deadline = new SharedDeadline(1500);
  const failure = new Error('no');
  expect(await deadline.wait(Promise.resolve())).toBe(undefined);
  expect(await deadline.wait(Promise.reject(failure))).toBe(failure);
});

test('late work has the work after it waited for no longer, until it is done', async () => {
  const deadline = new SharedDeadline(1500);
  const stuck = Promise.withResolvers<void>();
  const first = outcomeOf(deadline.wait(stuck.promise));
  await vi.advanceTimersByTimeAsync(1000);
  const second = outcomeOf(deadline.wait(stuck.promise));
  expect([first, second]).toEqual([{}, {}]);
  await vi.advanceTimersByTimeAsync(500);
  expect([first.value, second.value]).toEqual([new LateError(1500), new LateError(1500)]);
  const third = outcomeOf(deadline.wait(stuck.promise));
  await vi.advanceTimersByTimeAsync(0);
  expect(third.value).toBeInstanceOf(LateError);

  stuck.resolve();
  await vi.advanceTimersByTimeAsync(0);
  const next = Promise.withResolvers<void>();
  const fourth = outcomeOf(deadline.wait(next.promise));
  await vi.advanceTimersByTimeAsync(1400);
  expect(fourth).toEqual({});
  next.resolve();
  await vi.advanceTimersByTimeAsync(0);
  expect(fourth.value).toBe('done');
});
