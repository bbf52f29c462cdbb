/**
 * The cluster that the suite runs against: how to reach it and its nodes, and what belongs to it.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** What a run passes to its tests, as JSON in the variable PODFENCE_CLUSTER. */
export interface ClusterTarget {
  /** Path of an administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** Prefix for commands that talk to the API server, which is not reachable from everywhere. */
  readonly enter: readonly string[];
  /** Path of kubectl, called after `enter`. */
  readonly kubectl: string;
  /**
   * Prefix of a command that runs as root on a node, in its network and mounts: `{node}` stands for
   * the node's name and `{number}` for the digits at its end. Undefined if the caller named none;
   * such tests are skipped by name.
   */
  readonly onNode: readonly string[] | undefined;
  /** podfence's image, which the nodes have or can pull. */
  readonly image: string;
  /**
   * Folder of the scripts that brought this cluster up and can kill and start its parts; undefined
   * for other clusters.
   */
  readonly scripts: string | undefined;
  /** State folder of the cluster's scripts (PFC), if there are any. */
  readonly state: string | undefined;
  /** Variables that the cluster's scripts need to make a node like the others, from the variant. */
  readonly env: Readonly<Record<string, string>>;
  /** Folder for logs of failures; it is kept. */
  readonly artifacts: string;
  /** Folder that is removed after the run. */
  readonly temporary: string;
}

/** @throws Error if no run has set the variable */
export function targetOfRun(): ClusterTarget {
  const text = process.env.PODFENCE_CLUSTER;
  if (text === undefined) throw new Error('there is no cluster: run `npm run test:cluster`');
  return JSON.parse(text) as ClusterTarget;
}

/** Returns the prefix for one node. */
export function prefixOfNode(onNode: readonly string[], node: string): string[] {
  const number = /\d+$/.exec(node)?.[0] ?? '';
  return onNode.map((word) => word.replaceAll('{node}', node).replaceAll('{number}', number));
}

/** Creates a folder below the artifacts, and returns its path. */
export function artifactFolder({ artifacts }: ClusterTarget, name: string): string {
  const folder = join(artifacts, name.replaceAll(/[^\w.-]+/g, '-').slice(0, 100));
  mkdirSync(folder, { recursive: true });
  return folder;
}
