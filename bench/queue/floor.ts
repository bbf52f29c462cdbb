/**
 * The floor under any enforcement by the kernel's queue: podfence's rules with every packet queued,
 * answered by a C program that accepts without looking at anything (accept-all.c). What podfence
 * could gain by judging faster is the difference between the two; the rest is the kernel's.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEFAULT_FIRST_QUEUE } from '../../src/agent/agent.ts';
import { DEFAULT_MARK } from '../../src/dataplane/steering/state.ts';
import { command } from '../harness/requirements.ts';
import { clusterOf } from '../traffic/large-cluster.ts';
import { PodPair } from '../traffic/pod-pair.ts';
import type { Carrier } from './measured-pair.ts';

const SOURCE = fileURLToPath(new URL('./accept-all.c', import.meta.url));
const QUEUES = 2;

/** Returns why the floor cannot be measured here; undefined if it can. */
export function floorObstacle(): string | undefined {
  return command('cc', 'gcc libc6-dev')();
}

/**
 * Resolves when the program accepts packets. Rejects if it does not compile, or cannot bind the
 * queues.
 */
export async function startFloor(): Promise<Carrier> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'podfence-bench-queue-'));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'accept-all');
  execFileSync('cc', ['-O2', '-pthread', '-o', program, SOURCE]);
  const pair = await PodPair.create({ flags: { offload: false, queues: QUEUES }, snapshot: clusterOf(1) });
  stack.use(pair);
  // The agent's rules stay: the program is measured with them.
  pair.agent?.kill();
  await pair.agent?.stop();
  const args = [String(DEFAULT_FIRST_QUEUE), String(QUEUES), String(DEFAULT_MARK.judged)];
  const child = pair.node.netns.run(() => spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] }));
  stack.defer(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`accept-all ended with ${code}`);
  });
  ended.catch(() => undefined);
  await Promise.race([once(child.stdout, 'data'), ended]);
  const { client, server, node } = pair;
  const all = stack.move();
  return { client, server, node, answerer: child.pid, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
