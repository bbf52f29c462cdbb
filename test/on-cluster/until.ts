import { setTimeout as delay } from 'node:timers/promises';

/** How long anything on a cluster may take, in ms. */
const PATIENCE = 45_000;

/** Polls until a condition holds; fails with the last state. */
export async function until(
  description: string,
  condition: () => boolean | Promise<boolean>,
  state: () => string = () => '',
  patience = PATIENCE,
): Promise<void> {
  const deadline = performance.now() + patience;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`timed out waiting until ${description}; ${state()}`);
    await delay(100);
  }
}
