/** The order within the agent's process: what comes while it starts, and while it ends. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runIn } from '../../src/lab/run-command.ts';
import { Netns } from '../../src/sys/netns.ts';
import type { Status } from '../../src/telemetry/status.ts';
import { describeAsRoot } from '../root.ts';
import { type Outcome, WAITED } from './early-changes.ts';
import { AgentMetrics } from './running-agent.ts';

const PROGRAM = fileURLToPath(new URL('early-changes.ts', import.meta.url));

describeAsRoot('Changes that come while the agent starts', () => {
  const netns = Netns.create();
  beforeAll(async () => {
    await runIn(netns, ['ip', 'link', 'set', 'lo', 'up']);
  });
  afterAll(() => netns.close());

  /** Runs the program to its end. */
  async function run(...args: readonly string[]): Promise<Outcome> {
    const child = netns.run(() => fork(PROGRAM, args, { execArgv: [] }));
    const ended = once(child, 'exit');
    const [outcome] = (await Promise.race([once(child, 'message'), ended])) as [Outcome];
    child.disconnect();
    await ended;
    return outcome;
  }

  test('come into force before it is ready, and count from when the first of them was received', async () => {
    const { readiness, metrics = '', status = '' } = await run();
    expect(readiness.ready).toBe(true);
    const { lag } = JSON.parse(status) as Status;
    expect(lag.lastChange?.records).toBe(2);
    expect(lag.lastChange?.totalSeconds).toBeGreaterThanOrEqual(WAITED / 1000);
    const counted = new AgentMetrics(metrics);
    expect(counted.sum('podfence_compile_duration_seconds_count')).toBe(2);
    expect(counted.sum('podfence_event_to_enforcement_seconds_count')).toBe(1);
    expect(counted.sum('podfence_event_to_enforcement_seconds_bucket', { le: '10' })).toBe(0);
  });

  test('leave an agent that is stopped meanwhile not ready', async () => {
    expect((await run('stop')).readiness).toEqual({ ready: false, reason: 'stopping' });
  });
});
