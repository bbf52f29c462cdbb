/**
 * Installs podfence on the cluster of the run, as `daemonset/base` does, with the image of the run.
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type ApiObject, type Cluster, PROJECT } from './cluster.ts';
import { until } from './until.ts';

/** Installs podfence, or restores what base contains, and resolves when every agent enforces. */
export async function install(cluster: Cluster): Promise<void> {
  const [name = '', tag = ''] = splitImage(cluster.target.image);
  const folder = mkdtempSync(join(tmpdir(), 'podfence-overlay-'));
  try {
    const agent = { name: 'agent', imagePullPolicy: 'IfNotPresent' };
    const patch = {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'podfence', namespace: 'podfence-system' },
      spec: { minReadySeconds: 0, template: { spec: { containers: [agent] } } },
    };
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: ['base'],
      images: [{ name: 'podfence', newName: name, newTag: tag }],
      patches: [{ path: 'agent.yaml' }],
    };
    writeFileSync(join(folder, 'agent.yaml'), stringify(patch));
    writeFileSync(join(folder, 'kustomization.yaml'), stringify(kustomization));
    // Kustomize accepts no absolute path as a base, and loads nothing from outside the given
    // folder.
    cpSync(join(PROJECT, 'daemonset', 'base'), join(folder, 'base'), { recursive: true });
    await cluster.kubectl(['apply', '-k', folder]);
    await rolledOut(cluster);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Resolves when every node has the agent that the DaemonSet requests, and each is ready. */
export async function rolledOut(cluster: Cluster): Promise<void> {
  await cluster.kubectl(['-n', 'podfence-system', 'rollout', 'status', 'daemonset', 'podfence', '--timeout=120s'], {
    timeout: 150_000,
  });
}

interface ContainerStatus {
  readonly containerID?: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly lastState?: { readonly terminated?: { readonly reason: string } };
}

/** Returns the container of a node's agent; undefined while its pod is being replaced. */
export async function agentContainer(cluster: Cluster, node: string): Promise<ContainerStatus | undefined> {
  return containerOf((await cluster.agents()).get(node));
}

/** Returns how often each agent was restarted, by node. */
export async function restartsOfAgents(cluster: Cluster): Promise<ReadonlyMap<string, number>> {
  const agents = [...(await cluster.agents())];
  return new Map(agents.map(([node, pod]) => [node, containerOf(pod)?.restartCount ?? 0]));
}

function containerOf(pod: ApiObject | undefined): ContainerStatus | undefined {
  return (pod?.status.containerStatuses as readonly ContainerStatus[] | undefined)?.[0];
}

/**
 * Returns the time since which a node's agent enforces, by its log, in ms; NaN if the log does not
 * say.
 */
export async function enforcingSince(cluster: Cluster, node: string): Promise<number> {
  const agent = (await cluster.agents()).get(node)?.metadata.name ?? '';
  const lines = (await cluster.kubectl(['-n', 'podfence-system', 'logs', agent])).trim().split('\n');
  const logged = lines.map((line) => JSON.parse(line) as { msg: string; time: string });
  return Date.parse(logged.find(({ msg }) => msg === 'enforcing')?.time ?? '');
}

/**
 * Lets each agent remove its rules, as daemonset/removal.yaml does, and resolves when all nodes are
 * clean.
 */
export async function cleanNodes(cluster: Cluster): Promise<void> {
  const patch = join(PROJECT, 'daemonset', 'removal.yaml');
  await cluster.kubectl(['-n', 'podfence-system', 'patch', 'daemonset', 'podfence', '--patch-file', patch]);
  await rolledOut(cluster);
}

/** Removes podfence as daemonset/README.md says, and resolves when its namespace is gone. */
export async function remove(cluster: Cluster): Promise<void> {
  await cleanNodes(cluster);
  await cluster.kubectl(['delete', '-k', join(PROJECT, 'daemonset', 'base'), '--timeout=60s']);
  await until('the namespace podfence-system is gone', async () => !(await cluster.hasNamespace('podfence-system')));
}

/** Splits an image into name and tag. A registry's port is not a tag. */
export function splitImage(image: string): [name: string, tag: string] {
  const colon = image.lastIndexOf(':');
  return colon > image.lastIndexOf('/') ? [image.slice(0, colon), image.slice(colon + 1)] : [image, 'latest'];
}
