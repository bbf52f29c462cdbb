/** Runs programs in a network namespace. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import type { Netns } from '../sys/netns.ts';

export interface CommandResult {
  /** Null if a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Starts a program in the namespace. `spawn` forks before it returns, so the child starts in the
 * calling thread's namespace.
 */
function spawnIn(netns: Netns, command: readonly string[], options: SpawnOptions): ChildProcess {
  const [program = '', ...args] = command;
  return netns.run(() => spawn(program, args, options));
}

/**
 * Runs a program to its end, with `input` on its standard input. Rejects only if the program cannot
 * be started.
 */
export function runIn(netns: Netns, command: readonly string[], input = ''): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawnIn(netns, command, { stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    // A program that ends without reading its input is not our error.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

/** Runs a program that must succeed and returns its output. The error contains what it printed. */
export async function runChecked(netns: Netns, command: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await runIn(netns, command, input);
  if (code !== 0) throw new Error(`${command.join(' ')} failed (${code}): ${stderr.trim() || stdout.trim()}`);
  return stdout;
}
