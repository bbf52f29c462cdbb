/**
 * What a test starts ends with the test, whether it passes, fails or times out. The body of a test
 * that has timed out runs on. Whatever it tries to start afterwards is refused, so that it does not
 * disturb the tests that follow.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { aroundEach } from 'vitest';

type End = () => unknown;

class Belongings {
  isOver = false;
  /** Ends what was started last first; one that fails to end keeps no other from it. */
  readonly ends = new AsyncDisposableStack();
}

const current = new AsyncLocalStorage<Belongings>();

/**
 * Calls `end` after the current test. Does nothing outside a test: a file's hooks clean up
 * themselves. Throws if the calling test is over.
 */
export function endWithTest(end: End): void {
  refuseAfterTest();
  current.getStore()?.ends.defer(async () => {
    await end();
  });
}

/** Throws if the calling test is over. */
export function refuseAfterTest(): void {
  if (current.getStore()?.isOver) throw new Error('the test is over');
}

/** For vitest's `setupFiles`. */
export function endEachTestWithItsOwn(): void {
  aroundEach(async (runTest) => {
    const belongings = new Belongings();
    await using _ = belongings.ends;
    try {
      await current.run(belongings, runTest);
    } finally {
      belongings.isOver = true;
    }
  });
}
