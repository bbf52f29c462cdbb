import { setImmediate } from 'node:timers/promises';

/** Waits for a condition that something else brings about. Fails after ten seconds, and says what was waited for. */
export async function until(description: string, condition: () => boolean, state?: () => string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${description}; ${state?.() ?? ''}`);
    await setImmediate();
  }
}
