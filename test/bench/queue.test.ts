import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { completed } from '../../bench/harness/results.ts';
import { missingTargets } from '../../bench/harness/terminal.ts';
import { comparisons } from '../../bench/queue/comparisons.ts';
import { since, timeOf } from '../../bench/queue/cpu.ts';
import { floorObstacle } from '../../bench/queue/floor.ts';
import { Rounds } from '../../bench/queue/rounds.ts';
import { FLOOR, KERNEL, VARIANTS } from '../../bench/queue/variants.ts';

const VALUES = [
  ...['one core', 'two cores'].flatMap((placement) =>
    ['connections/s', 'round trip p50', 'first packet p50', 'first packet p99'].map((name) => `${name}, ${placement}`),
  ),
  ...['p50', 'p99'].map((quantile) => `first packet ${quantile}, two cores, 500 a second`),
  ...['UDP packets/s', 'TCP throughput', 'half of that rate', 'UDP lost at half the rate'],
  'CPU of who answers, at full load, per packet',
];

/** Two rounds. Every value is 10 and 40 for the kernel alone, 5 and 10 for all other variants. */
function roundsOf(variants: readonly string[]): Rounds {
  const rounds = new Rounds();
  for (const round of [1, 2]) {
    for (const variant of variants) {
      const value = variant === KERNEL ? 10 * round ** 2 : 5 * round;
      rounds.add('all', variant, { values: VALUES.map((name) => ({ name, unit: 'x', value })) });
    }
  }
  return rounds;
}

const names = VARIANTS.map(({ name }) => name);

describe('the comparisons of npm run bench queue', () => {
  test('are ratios of the same round', () => {
    const ratio = comparisons(roundsOf(names)).find(({ name }) => name === 'UDP packets/s, queue floor / kernel only');
    expect(ratio?.spread.runs).toEqual([0.5, 0.25]);
  });

  test('include the time added to evenly spaced first packets', () => {
    const added = comparisons(roundsOf(names)).filter(({ name }) => name.includes('500 a second'));
    expect(added.map(({ name }) => name)).toEqual([
      'added to the first packet, p50, two cores, 500 a second, offload',
      'added to the first packet, p99, two cores, 500 a second, offload',
    ]);
  });

  test('have a row for every target', () => {
    expect(missingTargets(completed('queue', true, { parameters: {}, rows: comparisons(roundsOf(names)) }))).toEqual(
      [],
    );
  });

  test('leave the floor out if there is no compiler', () => {
    const rows = comparisons(roundsOf(names.filter((name) => name !== FLOOR)));
    expect(rows.length).toBeGreaterThan(10);
    expect(rows.filter(({ name }) => name.includes(FLOOR))).toEqual([]);
  });
});

describe.skipIf(floorObstacle() !== undefined)('the program that accepts every packet', () => {
  test('compiles without a warning', () => {
    const source = join(import.meta.dirname, '../../bench/queue/accept-all.c');
    execFileSync('cc', ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', source], { stdio: 'pipe' });
  });
});

describe.skipIf(process.platform !== 'linux')('the CPU time of a process', () => {
  test('counts only the threads with a given name', () => {
    expect(timeOf(process.pid).run).toBeGreaterThan(0);
    expect(timeOf(process.pid, 'no such thread')).toEqual({ run: 0, user: 0, kernel: 0 });
  });

  test('between two moments is the difference', () => {
    const earlier = { run: 1, user: 20, kernel: 300 };
    expect(since(earlier, { run: 5, user: 60, kernel: 700 })).toEqual({ run: 4, user: 40, kernel: 400 });
  });
});
