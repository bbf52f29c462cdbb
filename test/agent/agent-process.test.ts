/** The order within the agent's process: changes that arrive while it starts and while it stops. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { runIn } from '../../src/lab/run-command.ts';
import { Netns } from '../../src/sys/netns.ts';
import type { Readiness } from '../../src/telemetry/agent-view.ts';
import type { Status } from '../../src/telemetry/status.ts';
import { describeAsRoot } from '../root.ts';
import { type Outcome, WAITED } from './early-changes.ts';
import type { FailingChange } from './failing-change.ts';
import { AgentMetrics } from './running-agent.ts';

const EARLY_CHANGES = fileURLToPath(new URL('early-changes.ts', import.meta.url));
const FAILING_CHANGE = fileURLToPath(new URL('failing-change.ts', import.meta.url));

describeAsRoot('Changes that come', () => {
  const netns = Netns.create();
  beforeAll(async () => {
    await runIn(netns, ['ip', 'link', 'set', 'lo', 'up']);
  });
  afterAll(() => netns.close());

  /** Runs a program to its end; returns the message that it sends. */
  async function run<T>(program: string, ...args: readonly string[]): Promise<T> {
    const child = netns.run(() => fork(program, args, { execArgv: [] }));
    onTestFinished(() => void child.kill('SIGKILL'));
    const ended = once(child, 'exit');
    const [outcome] = (await Promise.race([once(child, 'message'), ended])) as [T];
    child.disconnect();
    await ended;
    return outcome;
  }

  test('while the agent starts are in force before it is ready, and their time counts from receiving the first', async () => {
    const { readiness, metrics = '', status = '' } = await run<Outcome>(EARLY_CHANGES);
    expect(readiness.ready).toBe(true);
    const { lag } = JSON.parse(status) as Status;
    expect(lag.lastChange?.records).toBe(2);
    expect(lag.lastChange?.totalSeconds).toBeGreaterThanOrEqual(WAITED / 1000);
    const counted = new AgentMetrics(metrics);
    expect(counted.sum('podfence_compile_duration_seconds_count')).toBe(2);
    expect(counted.sum('podfence_event_to_enforcement_seconds_count')).toBe(1);
    expect(counted.sum('podfence_event_to_enforcement_seconds_bucket', { le: '10' })).toBe(0);
  });

  test('while the agent starts leave it not ready if it is stopped meanwhile', async () => {
    expect((await run<Outcome>(EARLY_CHANGES, 'stop')).readiness).toEqual({ ready: false, reason: 'stopping' });
  });

  test('and cannot be brought into force leave the agent not ready until they can', async () => {
    const { before, meanwhile, after, retries } = await run<FailingChange>(FAILING_CHANGE);
    const reason = 'a change could not be brought into force: the source is not there';
    expect(meanwhile).toEqual({ ready: false, reason });
    const since = (readiness: Readiness) => (readiness.ready ? Date.parse(String(readiness.since)) : Number.NaN);
    expect(since(after)).toBeGreaterThan(since(before));
    // One for each of the attempts that fail, though several changes wait.
    expect(retries).toBe(3);
  });
});
