/** How fast this machine is when a run of the tests begins. */
import { spawnSync } from 'node:child_process';

/** Environment variable with the factor by which the tests multiply their patience. */
export const PATIENCE_FACTOR = 'TEST_PATIENCE_FACTOR';

/** Milliseconds that Node takes to start on a machine for which the tests' timeouts are ample. */
const USUAL_START = 100;
const MOST = 8;

/** Returns how many times slower than that Node starts now: 1 to 8. */
export function measuredSlowness(): number {
  const known = process.env[PATIENCE_FACTOR];
  if (known !== undefined) {
    if (!(Number(known) > 0)) throw new Error(`${PATIENCE_FACTOR} is ${known}, and not a number above 0`);
    return Number(known);
  }
  const times = Array.from({ length: 5 }, () => {
    const since = performance.now();
    spawnSync(process.execPath, ['--eval', '']);
    return performance.now() - since;
  });
  const [, , median = USUAL_START] = times.sort((a, b) => a - b);
  return Math.min(MOST, Math.max(1, median / USUAL_START));
}
