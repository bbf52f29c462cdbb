/** `podfence lab exec POD -- COMMAND`. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { findHost, UnknownHostError } from '../../lab/host-names.ts';
import { isKept, type LabState } from '../../lab/state-file.ts';
import { InputError } from '../shared/exit-code.ts';
import { requireRoot } from './input.ts';
import { runningLab } from './running.ts';

/** Interval of checking that the lab still runs, in ms: its end ends the command. */
const WATCH_INTERVAL = 500;

/**
 * @returns the command's exit code; 128 plus the signal's number if a signal ended it, as in
 * shells.
 */
export async function labExec(
  name: string,
  command: readonly string[],
  flags: { readonly name: string },
): Promise<number> {
  requireRoot();
  const lab = runningLab(flags.name);
  const host = hostOf(lab, name);
  const child = spawn('nsenter', [`--net=/proc/${lab.pid}/fd/${host.netns}`, '--', ...command], {
    stdio: 'inherit',
    env: { ...process.env, PODFENCE_POD: host.name },
  });
  // The terminal sends Ctrl-C to the command too, and the command decides.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const watch = setInterval(() => {
    if (!isKept(lab)) child.kill('SIGKILL');
  }, WATCH_INTERVAL);
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL']));
    });
  } finally {
    clearInterval(watch);
  }
}

function hostOf({ hosts }: LabState, name: string) {
  try {
    const found = findHost(
      name,
      hosts.map((host) => host.name),
    );
    return hosts.find((host) => host.name === found) as LabState['hosts'][number];
  } catch (error) {
    throw error instanceof UnknownHostError ? new InputError(error.message) : error;
  }
}
