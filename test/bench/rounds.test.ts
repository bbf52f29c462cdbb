import { expect, test } from 'vitest';
import { Rounds } from '../../bench/queue/rounds.ts';
import { orderOf } from '../../bench/queue/turns.ts';

function measured(runs: Readonly<Record<string, readonly number[]>>): Rounds {
  const rounds = new Rounds();
  for (const [variant, values] of Object.entries(runs)) {
    for (const value of values)
      rounds.add('speed', variant, { values: [{ name: 'speed', unit: 'm/s', value }], failed: 1 });
  }
  return rounds;
}

test('a comparison uses values of the same round', () => {
  const rounds = measured({ one: [10, 20, 30], other: [1, 4, 5] });
  expect(rounds.compare('speed', ['one', 'other'], (a, b) => a / b)).toEqual([10, 5, 6]);
});

test('a row has the median of all rounds and every value', () => {
  const [row] = measured({ one: [10, 30, 20] }).rows();
  expect(row).toMatchObject({
    name: 'speed, one',
    unit: 'm/s',
    value: 20,
    spread: { min: 10, max: 30, runs: [10, 30, 20] },
  });
});

test('failures have one row for all variants, and one for each variant that failed', () => {
  const rounds = measured({ one: [1, 2], other: [3] });
  rounds.add('speed', 'third', { values: [], failed: 0 });
  expect(rounds.failures()).toMatchObject([
    { name: 'speed: without an answer, all variants', value: 3 },
    { name: 'speed: without an answer, one', value: 2 },
    { name: 'speed: without an answer, other', value: 1 },
  ]);
});

test('zero failures are reported too', () => {
  const rounds = new Rounds();
  rounds.add('speed', 'one', { values: [], failed: 0 });
  expect(rounds.failures()).toMatchObject([{ name: 'speed: without an answer, all variants', value: 0 }]);
});

test('a row of a count has the sum of the rounds, so that a single bad round shows', () => {
  const rounds = new Rounds();
  for (const value of [0, 7, 0]) {
    rounds.add('half', 'one', { values: [{ name: 'lost', unit: 'packets', value, counted: true }] });
  }
  expect(rounds.rows()).toEqual([
    { name: 'lost, one', unit: 'packets', value: 7, spread: { min: 0, max: 7, runs: [0, 7, 0] } },
  ]);
});

test('asking for what was not measured is an error that names it', () => {
  expect(() => measured({ one: [1] }).runs('speed', 'other')).toThrow('speed, other was not measured');
});

test('every variant is first equally often, and follows different variants', () => {
  const orders = [0, 1, 2, 3, 4, 5].map((round) => orderOf(['a', 'b', 'c'], round).join(''));
  expect(orders).toEqual(['abc', 'acb', 'cab', 'cba', 'bca', 'bac']);
});
