import { describe, expect, test } from 'vitest';
import { BusyPolling } from '../../../src/dataplane/nfqueue/busy-polling.ts';

const SHORT = 0.05;
const LONG = 0.2;

/** Returns how often it checks an empty queue before it sleeps. */
function looks(polling: BusyPolling): number {
  for (let count = 0; count < 10_000; count++) if (!polling.looksAgain()) return count;
  throw new Error('it looks for ever');
}

function thatSlept(...sleeps: readonly number[]): BusyPolling {
  const polling = new BusyPolling();
  for (const sleep of sleeps) polling.slept(sleep);
  polling.found();
  return polling;
}

describe('a worker whose queue is empty', () => {
  test('sleeps at once as long as nothing shows that packets are close together', () => {
    expect(looks(thatSlept())).toBe(0);
    expect(looks(thatSlept(LONG))).toBe(0);
  });

  test('polls longer after each short sleep, up to a limit', () => {
    const counts = Array.from({ length: 8 }, (_, sleeps) => looks(thatSlept(...Array<number>(sleeps).fill(SHORT))));
    expect(counts).toEqual([0, 16, 32, 64, 128, 128, 128, 128]);
  });

  test('polls its full number of times again after packets came, and no more often before', () => {
    const polling = thatSlept(SHORT);
    expect(looks(polling)).toBe(16);
    expect(looks(polling)).toBe(0);
    polling.found();
    expect(looks(polling)).toBe(16);
  });

  test('sleeps at once again after one long sleep, and starts over', () => {
    const polling = thatSlept(SHORT, SHORT, SHORT, LONG);
    expect(looks(polling)).toBe(0);
    polling.slept(SHORT);
    polling.found();
    expect(looks(polling)).toBe(16);
  });
});
