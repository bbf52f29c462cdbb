/**
 * What a test starts ends with the test, whether it passes, fails or times out. The body of a test
 * that has timed out runs on: what it would start after that is refused, so that it cannot get in
 * the way of the tests that follow.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { aroundEach } from 'vitest';

type End = () => unknown;

class Belongings {
  isOver = false;
  readonly ends: End[] = [];
}

const current = new AsyncLocalStorage<Belongings>();

/**
 * Calls `end` after the current test; where no test runs, as in a file's hooks, their own clean-up
 * has to. Throws where the test that asks is over.
 */
export function endWithTest(end: End): void {
  refuseAfterTest();
  current.getStore()?.ends.push(end);
}

/** Throws where the test that asks is over. */
export function refuseAfterTest(): void {
  if (current.getStore()?.isOver) throw new Error('the test is over');
}

/** For vitest's `setupFiles`. */
export function endEachTestWithItsOwn(): void {
  aroundEach(async (runTest) => {
    const belongings = new Belongings();
    try {
      await current.run(belongings, runTest);
    } finally {
      belongings.isOver = true;
      await Promise.all(belongings.ends.map((end) => end()));
    }
  });
}
