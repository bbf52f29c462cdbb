/** Runs the packet-filter tools in the network namespace that is steered. */
import { channel } from 'node:diagnostics_channel';
import { existsSync, readFileSync } from 'node:fs';
import { SystemCallError } from '../../sys/libc.ts';
import type { Netns } from '../../sys/netns.ts';
import { Program } from '../../sys/program.ts';
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

async function runCommand(enter: Enter, command: string, args: readonly string[], input: string): Promise<string> {
  const line = [command, ...args].join(' ');
  RUNS.publish(line);
  return await finish(start(enter, command, args), line, input);
}

function standBy(enter: Enter, command: string, args: readonly string[]): Standby {
  const line = [command, ...args].join(' ');
  let program: Program | undefined;
  try {
    program = start(enter, command, args);
    // It does not keep the process alive, and it ends when its standard input closes.
    program.unref();
  } catch {
    // `run` starts it again, and reports why it cannot.
  }
  return {
    run: async (input) => {
      if (!program?.isRunning) return await runCommand(enter, command, args, input);
      RUNS.publish(line);
      program.ref();
      return await finish(program, line, input);
    },
    end: () => program?.end(''),
  };
}

function start(enter: Enter, command: string, args: readonly string[]): Program {
  try {
    const program = enter(() => Program.start(command, args, ENVIRONMENT));
    running.add(program.pid);
    void program.ended.then(() => ended(program.pid));
    return program;
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    if (error.code === 'ENOENT') throw toolMissing(command);
    throw new SteeringError('FAILED', `${[command, ...args].join(' ')}: ${error.message}`, "see the system's message");
  }
}

async function finish(program: Program, line: string, input: string): Promise<string> {
  const timer = setTimeout(() => program.kill(), TIMEOUT_MS);
  program.end(input);
  const { code, signal, stdout, stderr } = await program.ended;
  clearTimeout(timer);
  if (code === 0) return stdout;
  throw signal === null ? commandFailed(line, code, stderr) : timedOut(line, signal);
}

function ended(pid: number): void {
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
