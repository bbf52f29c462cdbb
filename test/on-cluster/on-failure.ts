/** Says which test runs; of one that fails, what the cluster looked like goes into a folder of the artifacts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { Cluster } from './cluster.ts';
import { run, say } from './shell.ts';
import { artifactFolder } from './target.ts';

beforeEach(({ task }) => say(`── ${task.name}`));

afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') return;
  const folder = artifactFolder(new Cluster().target, expect.getState().currentTestName ?? task.name);
  await collect(new Cluster(), folder);
  say(`failed; logs, status, rules and events are in ${folder}`);
}, 120_000);

/** Each part by itself: a cluster that fails a test may fail these, too. */
async function collect(cluster: Cluster, folder: string): Promise<void> {
  const keep = async (file: string, command: readonly string[]) => {
    const { stdout, stderr } = await run(command, { quiet: true, timeout: 20_000 }).catch((error: Error) => ({
      stdout: '',
      stderr: error.message,
    }));
    writeFileSync(join(folder, file), stdout + stderr);
  };
  await keep('pods.txt', cluster.kubectlCommand(['get', 'pods', '-A', '-o', 'wide']));
  await keep('policies.yaml', cluster.kubectlCommand(['get', 'networkpolicies', '-A', '-o', 'yaml']));
  await keep('events.txt', cluster.kubectlCommand(['get', 'events', '-A', '--sort-by=.lastTimestamp']));
  const agents = await cluster.agents().catch(() => new Map());
  for (const [node, { metadata }] of agents) {
    const pod = ['-n', 'podfence-system', metadata.name];
    await keep(`${node}.log`, cluster.kubectlCommand(['logs', ...pod]));
    await keep(`${node}.previous.log`, cluster.kubectlCommand(['logs', '--previous', ...pod]));
    await keep(
      `${node}.status.json`,
      cluster.kubectlCommand(['get', '--raw', cluster.agentUrl(metadata.name, '/status')]),
    );
    await keep(
      `${node}.readyz.txt`,
      cluster.kubectlCommand(['get', '--raw', cluster.agentUrl(metadata.name, '/readyz')]),
    );
  }
  if (cluster.target.onNode === undefined) return;
  const RULES =
    'nft list ruleset; iptables-save; iptables-legacy-save; ip6tables-save; ipset list -t; ip route; ip address';
  for (const node of await cluster.nodes().catch(() => []))
    await keep(`${node}.rules.txt`, cluster.nodeCommand(node, `{ ${RULES}; } 2>&1`));
}
