import { expect, test } from 'vitest';
import { FairTurns } from '../../src/agent/fair-turns.ts';

/** Turns by a clock that the test sets. */
function clocked() {
  let now = 100;
  const turns = new FairTurns(() => now);
  return {
    turns,
    /** Lets milliseconds pass. */
    pass(ms: number): void {
      now += ms;
    },
    /** Pauses; other work takes this many milliseconds meanwhile. */
    pause(others: number): Promise<void> {
      setImmediate(() => {
        now += others;
      });
      return turns.pause();
    },
  };
}

test('a turn is short while other work takes little time', async () => {
  const { turns, pass, pause } = clocked();
  pass(0.4);
  expect(turns.isOver()).toBe(false);
  expect(turns.isOver(0.5)).toBe(true);
  pass(0.2);
  expect(turns.isOver()).toBe(true);
  await pause(0.1);
  pass(0.4);
  expect(turns.isOver()).toBe(false);
});

test('a turn is half as long as other work took before it, and not longer than 3 ms', async () => {
  const { turns, pass, pause } = clocked();
  await pause(4);
  pass(1.9);
  expect(turns.isOver()).toBe(false);
  pass(0.2);
  expect(turns.isOver()).toBe(true);
  await pause(100);
  pass(2.9);
  expect(turns.isOver()).toBe(false);
  pass(0.2);
  expect(turns.isOver()).toBe(true);
  await pause(0);
  pass(0.6);
  expect(turns.isOver()).toBe(true);
});

test('the time of other work is not counted', async () => {
  const { turns, pass, pause } = clocked();
  pass(2);
  await pause(10);
  pass(1);
  await pause(10);
  pass(0.5);
  expect(turns.worked).toBe(3);
  expect(turns.elapsed).toBe(0.5);
});
