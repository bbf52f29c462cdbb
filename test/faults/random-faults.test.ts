/**
 * Twenty seconds of faults. `npm run faults` runs each once, and random ones for any length of
 * time.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { patience } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import { isFlat, randomFaults, summaryOf } from './random-faults.ts';
import { Scene } from './scene.ts';

const SEED = Number(process.env.FAULTS_SEED ?? 14);
const MILLISECONDS = 20_000;

describeAsRoot('Whatever goes wrong on a node', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.start();
    await scene.startAgent();
    await scene.open();
  });
  afterAll(async () => {
    await scene[Symbol.asyncDispose]();
  });

  test('nothing denied passes, nothing allowed is lost, and changes hold', {
    timeout: patience(120_000),
  }, async () => {
    const run = await randomFaults(scene, { seed: SEED, milliseconds: MILLISECONDS });
    console.log(`faults: seed ${SEED}: ${summaryOf(run)}`);
    const bad = run.outcomes.filter(
      ({ delivered, broken, lost, unopened, problem }) =>
        delivered + broken + lost + unopened > 0 || problem !== undefined,
    );
    expect(bad, `of the seed ${SEED}`).toEqual([]);
    expect(run.outcomes.length).toBeGreaterThan(1);
    expect(isFlat(run), summaryOf(run)).toBe(true);
  });
});
