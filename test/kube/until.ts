import { setImmediate } from 'node:timers/promises';

/** Waits for a condition. Fails after ten seconds with the description of what it waited for. */
export async function until(description: string, condition: () => boolean, state?: () => string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${description}; ${state?.() ?? ''}`);
    await setImmediate();
  }
}
