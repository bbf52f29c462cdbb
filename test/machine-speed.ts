/** How fast this machine is when a run of the tests begins. */
import { spawnSync } from 'node:child_process';

/** Of the environment: what the tests multiply their patience by. */
export const PATIENCE_FACTOR = 'TEST_PATIENCE_FACTOR';

/** Starting Node takes this long, in ms, where the patience that tests name is ample. */
const USUAL_START = 100;
const MOST = 8;

/** How many times slower than that Node starts now: 1 to 8. */
export function measuredSlowness(): number {
  const known = process.env[PATIENCE_FACTOR];
  if (known !== undefined) return Number(known);
  const times = Array.from({ length: 5 }, () => {
    const since = performance.now();
    spawnSync(process.execPath, ['--eval', '']);
    return performance.now() - since;
  });
  const [, , median = USUAL_START] = times.sort((a, b) => a - b);
  return Math.min(MOST, Math.max(1, median / USUAL_START));
}
