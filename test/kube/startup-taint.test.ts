import pino from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ApiConnection } from '../../src/kube/api-connection.ts';
import { StartupTaint } from '../../src/kube/startup-taint.ts';
import type { TestApiServer } from './api-server.ts';
import { TestClock } from './test-clock.ts';
import { until } from './until.ts';
import { configOf, type LogLine, startServer } from './watched-cluster.ts';

const KEY = 'podfence.io/agent-not-ready';
const OURS = { key: KEY, effect: 'NoSchedule' };
const GPU = { key: 'example.com/gpu', value: 'true', effect: 'NoSchedule' };
const CORDONED = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

/**
 * Returns what removes the taint from node-1, not started. Its waits are 250, 500, 1000 ms and so
 * on, by the test's clock.
 */
function startupTaint(server: TestApiServer, token = () => 'secret') {
  const clock = new TestClock();
  const log: LogLine[] = [];
  const taint = new StartupTaint({
    connection: new ApiConnection(() => configOf(server.kubeConfig({ token: token() })), clock),
    nodeName: 'node-1',
    key: KEY,
    log: pino({ level: 'debug' }, { write: (line) => log.push(JSON.parse(line)) }),
    clock,
    random: () => 0.5,
  });
  onTestFinished(() => taint.stop());
  const becomes = (state: string) => until(`it is ${state}`, () => taint.status().state === state);
  return { taint, clock, log, becomes };
}

describe('the start-up taint', () => {
  it('stays until the agent says that everything is in force', async () => {
    const server = await startServer();
    server.nodes.set('node-1', [OURS]);
    const { taint } = startupTaint(server);
    expect(taint.status()).toEqual({ key: KEY, state: 'waiting', failures: 0, lastError: undefined });
    await taint.stop();
    expect(server.nodes.taints('node-1')).toEqual([OURS]);
  });

  it('is removed with every effect; other taints and other nodes keep theirs', async () => {
    const server = await startServer();
    const all = [GPU, OURS, { ...OURS, effect: 'NoExecute', value: 'true' }];
    server.nodes.set('node-1', all);
    server.nodes.set('node-2', all);
    const { taint, log, becomes } = startupTaint(server);
    taint.start();
    await becomes('removed');
    expect(server.nodes.taints('node-1')).toEqual([GPU]);
    expect(server.nodes.taints('node-2')).toEqual(all);
    expect(log.map(({ level, msg }) => [level, msg])).toEqual([
      [30, 'removed the start-up taint: pods may be scheduled here'],
    ]);
  });

  it('may be absent from the node; then nothing is written', async () => {
    const server = await startServer();
    server.nodes.set('node-1', [GPU]);
    const { taint, becomes } = startupTaint(server);
    taint.start();
    await becomes('absent');
    expect(server.nodes.patches).toBe(0);
  });

  it('is removed without losing a taint that another client sets meanwhile', async () => {
    const server = await startServer();
    server.nodes.set('node-1', [OURS]);
    server.nodes.changeBeforePatch([OURS, CORDONED], [CORDONED, OURS, GPU]);
    const { taint, clock, becomes } = startupTaint(server);
    taint.start();
    await clock.elapse(250);
    await clock.elapse(500);
    await becomes('removed');
    expect(server.nodes.taints('node-1')).toEqual([CORDONED, GPU]);
    expect(server.nodes.patches).toBe(3);
  });

  it('stays while the right is missing, which is logged once, and is removed once the right is there', async () => {
    const server = await startServer();
    server.nodes.set('node-1', [OURS]);
    server.nodes.allow(false);
    const { taint, clock, log, becomes } = startupTaint(server);
    taint.start();
    for (const wait of [250, 500, 1000]) await clock.elapse(wait);
    await until('it has failed four times', () => taint.status().failures === 4);
    expect(taint.status()).toMatchObject({
      state: 'failing',
      lastError: expect.stringContaining('HTTP 403 Forbidden'),
    });
    const warnings = log.filter(({ level }) => level > 30);
    expect(warnings.map(({ msg, reason }) => [reason, msg])).toEqual([
      ['forbidden', expect.stringMatching(/policies are in force all the same.* apply daemonset\/startup-taint/)],
    ]);
    server.nodes.allow(true);
    await clock.elapse(2000);
    await becomes('removed');
    expect(server.nodes.taints('node-1')).toEqual([]);
  });

  it('of a node that the cluster does not have is logged, with the likely cause', async () => {
    const server = await startServer();
    const { taint, log, becomes } = startupTaint(server);
    taint.start();
    await becomes('failing');
    expect(log.map(({ msg }) => msg)).toEqual([expect.stringContaining('is --node-name right?')]);
  });

  it('is retried with new credentials after a 401', async () => {
    const server = await startServer();
    server.nodes.set('node-1', [OURS]);
    server.acceptTokens(['renewed']);
    let token = 'expired';
    const { taint, clock, becomes } = startupTaint(server, () => token);
    taint.start();
    await becomes('failing');
    token = 'renewed';
    await clock.elapse(250);
    await becomes('removed');
  });

  it('is left alone once the agent stops, even in the middle of a wait', async () => {
    const server = await startServer();
    server.nodes.set('node-1', [OURS]);
    server.nodes.allow(false);
    const { taint, becomes } = startupTaint(server);
    taint.start();
    await becomes('failing');
    await taint.stop();
    server.nodes.allow(true);
    expect(server.nodes.taints('node-1')).toEqual([OURS]);
  });
});
