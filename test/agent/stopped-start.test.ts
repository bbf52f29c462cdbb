/** SIGTERM at every step of a start: the agent ends, and the kernel's rules are as before. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import type { StartStep } from '../../src/agent/start-steps.ts';
import { Netns } from '../../src/sys/netns.ts';
import { endWithTest } from '../own.ts';
import { patience } from '../patience.ts';
import { describeAsRoot } from '../root.ts';
import type { StoppedStart, What } from './stopped-starts.ts';

const PROGRAM = fileURLToPath(new URL('./stopped-starts.ts', import.meta.url));
const MANIFESTS = `
apiVersion: v1
kind: Pod
metadata: { name: server, namespace: shop, labels: { app: server } }
spec: { nodeName: node-1, containers: [{ name: main, image: none }] }
status: { phase: Running, podIP: 10.244.1.1, podIPs: [{ ip: 10.244.1.1 }, { ip: 'fd00:10:244:1::1' }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: closed, namespace: shop }
spec: { podSelector: {}, policyTypes: [Ingress] }
`;
const STEPS: readonly StartStep[] = [
  'serving',
  'answering questions',
  'reading the cluster',
  'choosing steering',
  'looking for an earlier agent',
  'compiling',
  'starting threads',
  'binding queues',
  'steering',
  'signing',
];

/** In ms, for dozens of starts. */
const PATIENCE = patience(180_000);

describeAsRoot('A start that SIGTERM ends', () => {
  const folder = mkdtempSync(join(tmpdir(), 'podfence-stopped-'));
  writeFileSync(join(folder, 'cluster.yaml'), MANIFESTS);
  afterAll(() => rmSync(folder, { recursive: true }));

  async function starts(netns: Netns, what: What, ...flags: readonly string[]): Promise<readonly StoppedStart[]> {
    const common = ['--manifests', folder, '--node-name', 'node-1', '--log-level', 'error', '--queues', '1'];
    const addresses = ['--metrics-address', '127.0.0.1:0', '--query-address', '127.0.0.1:0'];
    const environment = Object.entries(process.env).filter(([name]) => !name.startsWith('PODFENCE_'));
    const started = netns.run(() =>
      fork(PROGRAM, [what, ...common, ...addresses, ...flags], {
        env: Object.fromEntries(environment),
      }),
    );
    const ended = once(started, 'exit');
    endWithTest(() => started.kill('SIGKILL'));
    try {
      const [stopped] = (await Promise.race([once(started, 'message'), ended])) as [
        readonly StoppedStart[] | number | null,
      ];
      if (!Array.isArray(stopped)) throw new Error(`the process ended with ${stopped}`);
      return stopped;
    } finally {
      started.kill('SIGKILL');
      await ended;
    }
  }

  function expectNothingChanged(starts: readonly StoppedStart[]): void {
    const changed = starts.slice(0, -1).filter(({ before, after }) => before !== after);
    expect(changed).toEqual([]);
    expect(starts.map(({ at }) => at)).toEqual(expect.arrayContaining([...STEPS, 'in force']));
    expect(starts.at(-1)?.after).toMatch(/podfence/i);
    console.log(`the longest of ${starts.length} took ${Math.max(...starts.map(({ took }) => took)).toFixed(0)} ms`);
  }

  test.concurrent('leaves no rule if there was none before', { timeout: PATIENCE }, async () => {
    using netns = Netns.create();
    const stopped = await starts(netns, 'everywhere');
    expect(stopped[0]?.before).toBe('');
    expectNothingChanged(stopped);
    // It is also stopped at every run of a tool.
    expect(stopped.length).toBeGreaterThan(2 * STEPS.length);
  });

  test.concurrent('leaves the rules of an earlier agent', { timeout: PATIENCE }, async () => {
    using netns = Netns.create();
    await starts(netns, 'once');
    const stopped = await starts(netns, 'steps');
    expect(stopped[0]?.before).toMatch(/podfence/i);
    expectNothingChanged(stopped);
  });

  test.concurrent('leaves the rules of an agent in audit mode until its own are written', {
    timeout: PATIENCE,
  }, async () => {
    using netns = Netns.create();
    await starts(netns, 'once', '--mode', 'audit');
    const stopped = await starts(netns, 'steps');
    const written = stopped.findIndex(({ before, after }) => before !== after);
    expect(stopped[0]?.before).toMatch(/podfence/i);
    expect(stopped.slice(0, written).map(({ at }) => at)).toContain('steering');
    // From then on there are none: neither copying rules nor a queue that no process reads.
    expect(new Set(stopped.slice(written, -1).map(({ after }) => after))).toEqual(new Set(['']));
  });

  test.concurrent('leaves no copying rule in audit mode, either', { timeout: PATIENCE }, async () => {
    using netns = Netns.create();
    const stopped = await starts(netns, 'steps', '--mode', 'audit');
    expect(stopped[0]?.before).toBe('');
    expectNothingChanged(stopped);
  });
});
