/**
 * Runs each target: its kept cases, then new inputs for its share of 20 s. `npm run fuzz` runs for
 * longer.
 */
import { randomInt } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { patience } from '../patience.ts';
import { casesOf, keepCase, readCase } from './cases.ts';
import { faultOf } from './faults.ts';
import { KNOWN } from './known.ts';
import { knownSignatures } from './known-signatures.ts';
import { commandOf, runRound } from './runner.ts';
import { loadTarget, TARGETS } from './targets.ts';

const ALL_MS = 20_000;
const NAMES = Object.keys(TARGETS);
/** The runner ends a hanging input before vitest ends the test. */
const TEST_MS = patience(120_000);

const seed = process.env.FUZZ_SEED === undefined ? randomInt(2 ** 31) : Number(process.env.FUZZ_SEED);
let begun: number | undefined;

describe.each(NAMES)('%s', (name) => {
  const known = KNOWN.filter(({ target }) => target === name);

  test.each(casesOf(name).filter((each) => !known.some((fault) => fault.name === each)))(
    'the case %s',
    async (each) => {
      expect(await faultOf(await loadTarget(name), readCase(name, each))).toBeUndefined();
    },
  );

  test.each(known)('the case $name still shows a known fault: $reason', async (fault) => {
    expect(await faultOf(await loadTarget(name), readCase(name, fault.name))).toBeDefined();
  });

  beforeAll(() => {
    begun ??= Date.now();
  });

  test(`new inputs of the seed ${seed}`, { timeout: TEST_MS }, async () => {
    const ignored = await knownSignatures(name);
    // By then all targets up to this one have had their share, which includes the time to start
    // threads on a busy machine.
    const until = (begun ?? Date.now()) + (ALL_MS * (NAMES.indexOf(name) + 1)) / NAMES.length;
    const { fault, inputs } = await runRound({ name, seed, until, ignored });
    if (fault !== undefined) {
      const kept = keepCase(name, fault.input);
      expect.fail(`${fault.message}\nkept in ${kept}; again: ${commandOf(name, seed, fault.index)}`);
    }
    expect(inputs).toBeGreaterThan(0);
    console.log(`fuzz: ${name}: ${inputs} inputs of the seed ${seed}`);
  });
});
