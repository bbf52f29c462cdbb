/** `podfence lab down`. */
import { setTimeout } from 'node:timers/promises';
import { isKept, readStates, removeState } from '../../lab/state-file.ts';
import { ExitCode, UnavailableError } from '../shared/exit-code.ts';
import { requireRoot } from './input.ts';

const POLL_INTERVAL = 50;
const PATIENCE = 8000;

/** @returns the exit code; a lab that is not up is not an error. */
export async function labDown({ name }: { readonly name: string }): Promise<number> {
  requireRoot();
  const lab = readStates().find((state) => state.name === name);
  if (!lab) {
    process.stdout.write(`No lab called ${name} is up.\n`);
    return ExitCode.ok;
  }
  process.kill(lab.pid, 'SIGTERM');
  for (let waited = 0; isKept(lab) && waited < PATIENCE; waited += POLL_INTERVAL) await setTimeout(POLL_INTERVAL);
  if (isKept(lab)) {
    process.kill(lab.pid, 'SIGKILL');
    throw new UnavailableError(`lab ${name} did not end by itself and was killed`);
  }
  removeState(name);
  process.stdout.write(`Lab ${name} is down.\n`);
  return ExitCode.ok;
}
