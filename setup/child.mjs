/**
 * Child processes: set-up captures their output, the command itself runs in the foreground. Both
 * kinds share the handling of signals and exit codes.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { SetupError } from './output.mjs';

/** @typedef {'SIGINT' | 'SIGTERM' | 'SIGHUP'} ForwardedSignal */
/** @typedef {{ cwd?: string, env?: NodeJS.ProcessEnv }} ChildOptions */

/**
 * npm forwards a signal to its script, which may have received it already. The same signal again
 * within this time (ms) counts once.
 */
const SAME_SIGNAL_MS = 500;

/** @type {import('node:child_process').ChildProcess | undefined} */
let running;
/** @type {ForwardedSignal | undefined} */
let received;
let receivedAt = 0;

/**
 * Installs the signal handlers. From here on a signal ends this process only after the running
 * child has ended. Without a child it ends it at once, by `process.exit`, so that exit handlers
 * clean up.
 */
export function watchSignals() {
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
    process.on(signal, () => receive(signal));
}

/** @param {ForwardedSignal} signal */
function receive(signal) {
  const repeated = signal === received && Date.now() - receivedAt < SAME_SIGNAL_MS;
  received = signal;
  receivedAt = Date.now();
  if (running === undefined) process.exit(exitCodeOf(signal));
  if (!repeated && !(signal === 'SIGINT' && terminalSignalsChild())) running.kill(signal);
}

/**
 * Whether our process group is the terminal's foreground group. If it is, Ctrl-C reaches the child
 * directly, and forwarding it would deliver it twice. In /proc/PID/stat, the fields after the last
 * parenthesis are state, ppid, pgrp, session, tty_nr, tpgid (proc(5)).
 */
function terminalSignalsChild() {
  try {
    const [, , group, , , foreground] = statFields(readFileSync('/proc/self/stat', 'utf8'));
    return group === foreground;
  } catch {
    return process.stdin.isTTY === true;
  }
}

/**
 * Returns the fields of /proc/PID/stat from the state on. The command name before them may contain
 * spaces and parentheses.
 * @param {string} stat
 */
export function statFields(stat) {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/**
 * Returns a shell's exit code for a process that a signal ended.
 * @param {NodeJS.Signals} signal
 */
function exitCodeOf(signal) {
  return 128 + constants.signals[signal];
}

/**
 * Runs a command with our standard input and output. Returns its exit code, or 128 + n if signal n
 * ended it.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {ChildOptions} [options]
 */
export async function runInForeground(command, args, options = {}) {
  const child = spawn(command, args, { ...options, stdio: 'inherit' });
  const { code, signal } = await ended(child, command, args);
  return signal === null ? (code ?? 1) : exitCodeOf(signal);
}

/**
 * Runs a command without input and collects its output, standard error included. If a signal
 * arrives meanwhile, this process exits with its code.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {ChildOptions} [options]
 * @returns {Promise<{ ok: boolean, output: string }>}
 */
export async function runCaptured(command, args, options = {}) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  /** @type {Buffer[]} */
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  child.stderr.on('data', (chunk) => chunks.push(chunk));
  const { code, signal } = await ended(child, command, args);
  if (received !== undefined) process.exit(exitCodeOf(received));
  const output = Buffer.concat(chunks).toString('utf8');
  return { ok: code === 0, output: signal === null ? output : `${output}\nended by ${signal}` };
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {string} command
 * @param {readonly string[]} args
 * @returns {Promise<{ code: number | null, signal: NodeJS.Signals | null }>}
 */
function ended(child, command, args) {
  running = child;
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      running = undefined;
      reject(new SetupError(`cannot run ${command}: ${error.message}`, { command: commandLine(command, args) }));
    });
    child.once('close', (code, signal) => {
      running = undefined;
      resolve({ code, signal });
    });
  });
}

/**
 * Returns the command as a user would type it.
 * @param {string} command
 * @param {readonly string[]} args
 */
export function commandLine(command, args) {
  return [command, ...args]
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ');
}
