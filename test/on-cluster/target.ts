/** The cluster that the suite runs against: how to reach it, its nodes, and what belongs to it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** What a run hands to its tests, in the variable PODFENCE_CLUSTER as JSON. */
export interface ClusterTarget {
  /** Path of the kubeconfig, an administrator's. */
  readonly kubeconfig: string;
  /** Commands that talk to the API server are run behind this prefix: it is not reachable from everywhere. */
  readonly enter: readonly string[];
  /** Path of the kubectl to call, behind `enter`. */
  readonly kubectl: string;
  /**
   * Prefix of a command that runs as root on a node, in its network and mounts: `{node}` stands for the node's name and
   * `{number}` for the digits at its end. undefined where the caller named none; such tests are skipped by name.
   */
  readonly onNode: readonly string[] | undefined;
  /** podfence's image, which the nodes have or can pull. */
  readonly image: string;
  /** What brought this cluster up can kill and start its parts; undefined for a cluster that somebody else owns. */
  readonly scripts: string | undefined;
  /** State of the cluster's scripts (PFC), where there are any. */
  readonly state: string | undefined;
  /** Variables that the cluster's scripts need to make a node like the others: the variant's. */
  readonly env: Readonly<Record<string, string>>;
  /** Folder for logs of what failed; it stays. */
  readonly artifacts: string;
  /** Folder for what goes with the run. */
  readonly temporary: string;
}

/** @throws Error where no run has set the variable */
export function targetOfRun(): ClusterTarget {
  const text = process.env.PODFENCE_CLUSTER;
  if (text === undefined) throw new Error('there is no cluster: run `npm run test:cluster`');
  return JSON.parse(text) as ClusterTarget;
}

/** The prefix for one node. */
export function prefixOfNode(onNode: readonly string[], node: string): string[] {
  const number = /\d+$/.exec(node)?.[0] ?? '';
  return onNode.map((word) => word.replaceAll('{node}', node).replaceAll('{number}', number));
}

/** A folder of its own below the artifacts. */
export function artifactFolder({ artifacts }: ClusterTarget, name: string): string {
  const folder = join(artifacts, name.replaceAll(/[^\w.-]+/g, '-').slice(0, 100));
  mkdirSync(folder, { recursive: true });
  return folder;
}
