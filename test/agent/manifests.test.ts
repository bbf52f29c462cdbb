/** An agent that follows manifests whose files break. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runIn } from '../../src/lab/run-command.ts';
import { Netns } from '../../src/sys/netns.ts';
import { describeAsRoot } from '../root.ts';
import { RunningAgent } from './running-agent.ts';

const POD = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: c, image: i}]}
status: {podIPs: [{ip: 10.7.0.1}]}
`;
const policy = (name: string) => `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ${name}, namespace: shop}
spec: {podSelector: {}}
`;

describeAsRoot('podfence agent on manifests', () => {
  let netns: Netns;
  let folder: string;
  let agent: RunningAgent | undefined;

  beforeEach(async () => {
    netns = Netns.create();
    folder = mkdtempSync(join(tmpdir(), 'podfence-agent-manifests-'));
    await runIn(netns, ['ip', 'link', 'set', 'lo', 'up']);
  });
  afterEach(async () => {
    await agent?.end();
    agent = undefined;
    netns.close();
    rmSync(folder, { recursive: true });
  });

  test('keeps pods isolated when their file is emptied, and follows it again when it is repaired', async () => {
    const file = join(folder, 'all.yaml');
    writeFileSync(file, POD + policy('first'));
    agent = await new RunningAgent({ name: 'node', netns, addresses: [] }, [
      '--manifests',
      folder,
      '--queues',
      '1',
    ]).ready();
    expect((await agent.status()).enforced).toMatchObject({ policies: 1, isolatedAddresses: 1 });
    writeFileSync(file, '');
    await agent.logged(
      'that it keeps them',
      ({ level, msg }) => level === 'error' && msg.startsWith('the last known state stays in force'),
    );
    expect((await agent.status()).enforced).toMatchObject({ policies: 1, isolatedAddresses: 1 });
    writeFileSync(file, POD + policy('first') + policy('second'));
    await agent.shows('two policies', ({ enforced }) => enforced.policies === 2);
    expect(await agent.terminate()).toBe(0);
  });
});
