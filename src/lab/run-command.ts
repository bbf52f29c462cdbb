/** Runs programs in a network namespace. */
import type { Netns } from '../sys/netns.ts';
import { type Ending, Program } from '../sys/program.ts';

/**
 * Runs a program to its end, with `input` on its standard input. Rejects only if the program cannot
 * be started.
 */
export async function runIn(netns: Netns, command: readonly string[], input = ''): Promise<Ending> {
  const [name = '', ...args] = command;
  const program = netns.run(() => Program.start(name, args));
  program.end(input);
  return await program.ended;
}

/** Runs a program that must succeed and returns its output. The error contains what it printed. */
export async function runChecked(netns: Netns, command: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await runIn(netns, command, input);
  if (code !== 0) throw new Error(`${command.join(' ')} failed (${code}): ${stderr.trim() || stdout.trim()}`);
  return stdout;
}
