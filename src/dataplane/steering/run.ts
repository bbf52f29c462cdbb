/** Running the kernel's packet-filter tools, in the network namespace that is to be steered. */
import { spawn } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';
import { existsSync, readFileSync } from 'node:fs';
import type { Netns } from '../../sys/netns.ts';
import { commandFailed, SteeringError, toolMissing } from './error.ts';

/** What steering asks of the machine. */
export interface System {
  /**
   * Runs a command, found on PATH and in the sbin folders, with `input` as its standard input; gives back its standard output.
   * Throws SteeringError: TOOL_MISSING, TIMEOUT, or by what the command says.
   */
  run(command: string, args: readonly string[], input?: string): Promise<string>;
  /** The contents of a file under /proc as this namespace shows it, or undefined where there is none. */
  read(path: string): string | undefined;
}

/** Told of each command line before it is run; tests stop an agent between any two. */
const RUNS = channel('podfence:tool');

/** Longer than the longest wait for the lock of iptables (iptables.ts). */
const TIMEOUT_MS = 15_000;

/** nft and iptables live in sbin, which is not on everybody's PATH. Untranslated messages, for error.ts reads them. */
const ENVIRONMENT = {
  ...process.env,
  PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`,
  LC_ALL: 'C',
};

/** The network namespace of the process, or `netns`: a child is forked, and a file opened, by the thread that has entered it. */
export function system(netns?: Netns): System {
  const enter = <T>(action: () => T): T => (netns ? netns.run(action) : action());
  return {
    run: (command, args, input = '') => runCommand(enter, command, args, input),
    read: (path) => enter(() => (existsSync(path) ? readFileSync(path, 'utf8') : undefined)),
  };
}

type Enter = <T>(action: () => T) => T;

function runCommand(enter: Enter, command: string, args: readonly string[], input: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const line = [command, ...args].join(' ');
  RUNS.publish(line);
  const child = enter(() => spawn(command, args, { env: ENVIRONMENT, stdio: 'pipe', timeout: TIMEOUT_MS }));
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  child.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') reject(toolMissing(command));
    else reject(new SteeringError('FAILED', `${line}: ${error.message}`, 'see the words of the system'));
  });
  child.on('close', (status, signal) => {
    if (status === 0) resolve(Buffer.concat(output).toString());
    else if (signal) reject(timedOut(line, signal));
    else reject(commandFailed(line, status, Buffer.concat(errors).toString()));
  });
  // A command that ends without having read all of its input: its status tells more than EPIPE.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return promise;
}

function timedOut(line: string, signal: NodeJS.Signals): SteeringError {
  return new SteeringError(
    'TIMEOUT',
    `${line}: ended by ${signal}, at the latest after ${TIMEOUT_MS / 1000} s`,
    'the machine is overloaded, or another program holds a lock of the packet filter',
  );
}
