/** A host outside the cluster, reached by a command that runs programs there. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { OutsideHost } from './on-cluster.ts';

const PODS = join(import.meta.dirname, '../../examples/pod');

/** Runs a command and returns its standard output. @throws Error if it fails */
export async function output(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => {}).end(input);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed (${code}): ${stderr}`);
  return stdout;
}

/** @param command prefix that runs a program on the host: `ip netns exec backup` */
export function hostBehind([command = 'env', ...args]: readonly string[]): OutsideHost {
  return {
    ask: async (targets) => {
      const shell = ['sh', '-c', `"$0" ${join(PODS, 'ask.mjs')} "$@" || true`, process.execPath];
      return await output(command, [...args, ...shell, ...targets]);
    },
    listen: async (ports) => {
      const program = [process.execPath, join(PODS, 'listen.mjs'), ...ports];
      const child = spawn(command, [...args, ...program], { stdio: ['ignore', 'pipe', 'inherit'] });
      await lines(child, ports.length);
      return {
        [Symbol.asyncDispose]: async () => {
          const ended = once(child, 'close');
          child.kill();
          await ended;
        },
      };
    },
  };
}

/** Resolves with the first `count` lines of its output. Rejects if it ends before. */
async function lines({ stdout }: ChildProcess, count: number): Promise<void> {
  if (stdout === null) return;
  let seen = 0;
  for await (const _ of createInterface({ input: stdout })) if (++seen === count) return;
  throw new Error('what was to listen has ended');
}
