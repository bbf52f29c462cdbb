/** The command line as a user runs it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endWithTest, refuseAfterTest } from '../own.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts it without the variables that are settings of an agent. */
export function start(...args: readonly string[]): ChildProcess {
  refuseAfterTest();
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PODFENCE_')));
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env });
  const closed = once(child, 'close');
  endWithTest(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  return child;
}

export async function podfence(args: readonly string[], input = ''): Promise<Outcome> {
  const child = start(...args);
  child.stdin?.end(input);
  return await ended(child);
}

export function ended(child: ChildProcess): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

/** A folder with one manifest, removed by `using`. */
export function manifestFolder(yaml: string): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'podfence-manifests-'));
  writeFileSync(join(path, 'all.yaml'), yaml);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

/** Returns the pids of processes whose command line contains all these words. */
export function processesWith(...words: readonly string[]): readonly number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        const line = pid > 0 ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0') : [];
        return (
          line.length > 1 && words.every((word) => line.some((each) => each === word || each.endsWith(`/${word}`)))
        );
      } catch {
        return false;
      }
    });
}
