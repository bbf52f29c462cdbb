/** What a run must not find on a cluster, and must not leave there. */
import type { Cluster } from './cluster.ts';
import { remove } from './installation.ts';
import { OF_THE_SUITE } from './pods.ts';

/**
 * Checks that podfence is not installed yet. If it is, it belongs to someone else, and the suite
 * does not touch it.
 * @throws Error if it is
 */
export async function mustBeFree(cluster: Cluster): Promise<void> {
  if (await cluster.hasNamespace('podfence-system'))
    throw new Error('podfence is installed on this cluster already (namespace podfence-system): remove it first');
}

/** Removes the namespaces of a run, and podfence. An interrupted run leaves them. */
export async function leaveNothing(cluster: Cluster): Promise<void> {
  const label = Object.entries(OF_THE_SUITE).map((pair) => pair.join('='));
  await cluster.kubectl(['delete', 'namespaces', '-l', label.join(), '--timeout=120s'], { timeout: 150_000 });
  if (await cluster.hasNamespace('podfence-system')) await remove(cluster);
}
