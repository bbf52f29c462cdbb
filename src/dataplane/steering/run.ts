/** Runs the packet-filter tools in the network namespace that is steered. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';
import { existsSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Netns } from '../../sys/netns.ts';
import { commandFailed, SteeringError, toolMissing } from './error.ts';

/** What steering needs from the machine. */
export interface System {
  /**
   * Runs a command, found on PATH and in the sbin folders, with `input` as its standard input.
   * Returns its standard output. Throws SteeringError: TOOL_MISSING, TIMEOUT, or a code that fits
   * the command's own message.
   */
  run(command: string, args: readonly string[], input?: string): Promise<string>;
  /**
   * Starts a command in advance that waits for its input, because starting it takes longer than its
   * work.
   */
  standby?(command: string, args: readonly string[]): Standby;
  /**
   * Returns the contents of a file under /proc as this namespace shows it, or undefined if there is
   * none.
   */
  read(path: string): string | undefined;
}

/** A started command that waits for its input. */
export interface Standby {
  /**
   * Sends the input, once; otherwise like System.run. Starts another process if this one has ended.
   */
  run(input: string): Promise<string>;
  /** Ends the command without input. */
  end(): void;
}

/** Each command line is published here before it runs. Tests stop an agent between any two. */
const RUNS = channel('podfence:tool');

/** Process ids of the tools that are running. */
const running = new Set<number>();
const endListeners = new Set<() => void>();

/** Whether a process is a tool that this process runs. */
export function isOwnTool(pid: number): boolean {
  return running.has(pid);
}

/**
 * Calls `listener` when a tool has ended, while its process id still counts as a tool's. Returns a
 * function that removes the listener.
 */
export function onToolEnd(listener: () => void): () => void {
  endListeners.add(listener);
  return () => endListeners.delete(listener);
}

/** Longer than the longest wait for the lock of iptables (iptables.ts). */
const TIMEOUT_MS = 15_000;

/**
 * nft and iptables are in sbin, which is not on every PATH. error.ts parses messages, so they must
 * not be translated.
 */
const ENVIRONMENT = {
  ...process.env,
  PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`,
  LC_ALL: 'C',
};

/**
 * Returns the system in `netns`, or in the network namespace of the process. A child process or an
 * open file belongs to the namespace that the thread is in at that moment.
 */
export function system(netns?: Netns): System {
  const enter = <T>(action: () => T): T => (netns ? netns.run(action) : action());
  return {
    run: (command, args, input = '') => runCommand(enter, command, args, input),
    standby: (command, args) => standBy(enter, command, args),
    read: (path) => enter(() => (existsSync(path) ? readFileSync(path, 'utf8') : undefined)),
  };
}

type Enter = <T>(action: () => T) => T;

function runCommand(enter: Enter, command: string, args: readonly string[], input: string): Promise<string> {
  const line = [command, ...args].join(' ');
  RUNS.publish(line);
  return finish(start(enter, command, args), command, line, input);
}

function standBy(enter: Enter, command: string, args: readonly string[]): Standby {
  const child = start(enter, command, args);
  // It does not keep the process alive, and it ends when its standard input closes.
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as Socket).unref();
  child.on('error', () => {});
  const line = [command, ...args].join(' ');
  return {
    run: (input) => {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null)
        return runCommand(enter, command, args, input);
      RUNS.publish(line);
      child.ref();
      for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as Socket).ref();
      return finish(child, command, line, input);
    },
    end: () => child.stdin.end(),
  };
}

function start(enter: Enter, command: string, args: readonly string[]): ChildProcessWithoutNullStreams {
  const child = enter(() => spawn(command, args, { env: ENVIRONMENT, stdio: 'pipe' }));
  const { pid } = child;
  if (pid !== undefined) running.add(pid);
  child.on('close', () => ended(pid));
  // If a command ends before it has read all of its input, its status says more than EPIPE.
  child.stdin.on('error', () => {});
  return child;
}

function finish(child: ChildProcessWithoutNullStreams, command: string, line: string, input: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  const timer = setTimeout(() => child.kill(), TIMEOUT_MS);
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  child.on('error', (error: NodeJS.ErrnoException) => {
    clearTimeout(timer);
    if (error.code === 'ENOENT') reject(toolMissing(command));
    else reject(new SteeringError('FAILED', `${line}: ${error.message}`, "see the system's message"));
  });
  child.on('close', (status, signal) => {
    clearTimeout(timer);
    if (status === 0) resolve(Buffer.concat(output).toString());
    else if (signal) reject(timedOut(line, signal));
    else reject(commandFailed(line, status, Buffer.concat(errors).toString()));
  });
  child.stdin.end(input);
  return promise;
}

function ended(pid = 0): void {
  for (const listener of endListeners) listener();
  running.delete(pid);
}

function timedOut(line: string, signal: NodeJS.Signals): SteeringError {
  return new SteeringError(
    'TIMEOUT',
    `${line}: ended by ${signal}, at the latest after ${TIMEOUT_MS / 1000} s`,
    'the machine is overloaded, or another program holds a lock of the packet filter',
  );
}
