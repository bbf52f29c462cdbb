/** Saves the state of a cluster at a failure in files. */
import { cpSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ApiObject, Cluster } from './cluster.ts';
import { run, say } from './shell.ts';
import { artifactFolder, type ClusterTarget } from './target.ts';

const RULES =
  'nft list ruleset; iptables-save; iptables-legacy-save; ip6tables-save; ipset list -t; ip route; ip address';

/**
 * Saves logs, status, rules and events in the folder `name` of the artifacts. Each part is saved
 * separately, because others may fail.
 */
export async function collect(target: ClusterTarget, name: string): Promise<void> {
  const cluster = new Cluster(target);
  const folder = artifactFolder(target, name);
  const keep = async (file: string, command: readonly string[]) => {
    const { stdout, stderr } = await run(command, { quiet: true, timeout: 20_000 }).catch((error: Error) => ({
      stdout: '',
      stderr: error.message,
    }));
    writeFileSync(join(folder, file), stdout + stderr);
  };
  await keep('pods.txt', cluster.kubectlCommand(['get', 'pods', '-A', '-o', 'wide']));
  await keep('nodes.yaml', cluster.kubectlCommand(['get', 'nodes', '-o', 'yaml']));
  await keep('policies.yaml', cluster.kubectlCommand(['get', 'networkpolicies', '-A', '-o', 'yaml']));
  await keep('events.txt', cluster.kubectlCommand(['get', 'events', '-A', '--sort-by=.lastTimestamp']));
  const agents = await cluster.agents().catch(() => new Map<string, ApiObject>());
  for (const [node, { metadata }] of agents) {
    const pod = ['-n', 'podfence-system', metadata.name];
    await keep(`${node}.log`, cluster.kubectlCommand(['logs', ...pod]));
    await keep(`${node}.previous.log`, cluster.kubectlCommand(['logs', '--previous', ...pod]));
    for (const path of ['status', 'readyz']) {
      const url = cluster.agentUrl(metadata.name, `/${path}`);
      await keep(`${node}.${path}`, cluster.kubectlCommand(['get', '--raw', url]));
    }
  }
  if (target.onNode !== undefined) {
    // All nodes, including those that take no pods: they may have failed.
    const nodes = await cluster.list('nodes').catch(() => []);
    for (const { metadata } of nodes)
      await keep(`${metadata.name}.rules`, cluster.nodeCommand(metadata.name, `{ ${RULES}; } 2>&1`));
  }
  say(`failed; logs, status, rules and events are in ${folder}`);
}

/**
 * Saves the logs of the cluster's own parts, such as the API server and each kubelet, before they
 * are removed with the cluster.
 */
export function collectClusterLogs({ state, artifacts }: ClusterTarget): void {
  const logs = state === undefined ? undefined : join(state, 'log');
  if (logs !== undefined && existsSync(logs)) cpSync(logs, join(artifacts, 'cluster'), { recursive: true });
}
