/**
 * The cluster of a command that runs until it is stopped. It follows the manifests, or the live
 * cluster, as they change.
 */

import type { OnChanges } from '../../cluster/store.ts';
import { ApiConnection } from '../../kube/api-connection.ts';
import { ClusterWatch } from '../../kube/cluster-watch.ts';
import { loadKubeConfig } from '../../kube/kubeconfig.ts';
import { ManifestReadings } from '../../manifests/manifest-readings.ts';
import type { NodeIdentity } from '../../policy/compiler.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { WholeCluster } from '../../traffic/whole-cluster.ts';
import { type ClusterInput, type ClusterInputFlags, readClusterInput } from './cluster-input.ts';
import { tell } from './tell.ts';

export interface FollowedCluster {
  readonly cluster: WholeCluster;
  readonly input: ClusterInput;
  /** Calls `changed` after each change that verdicts may depend on. */
  follow(changed: () => void): void;
  stop(): Promise<void>;
}

/**
 * Reads the cluster as `readClusterInput` does, and throws the same. Services are those at the
 * start.
 */
export async function followCluster(
  flags: ClusterInputFlags,
  nodes: readonly NodeIdentity[],
): Promise<FollowedCluster> {
  const { manifests } = flags;
  if (manifests !== undefined) return followManifests(flags, manifests, nodes);
  const input = await readClusterInput(flags);
  return followKube(flags, new WholeCluster(input.snapshot, input.services, nodes), input);
}

async function followManifests(
  flags: ClusterInputFlags,
  manifests: readonly string[],
  nodes: readonly NodeIdentity[],
): Promise<FollowedCluster> {
  const readings = new ManifestReadings({
    // Standard input can be read only once.
    paths: manifests.includes('-') ? [] : manifests,
    read: () => readClusterInput(flags),
    onRefused: (error) => {
      const reason = error === undefined ? '' : `${(error as Error).message}. `;
      tell(`${reason}The last known state stays in use until that is fixed.\n`);
    },
  });
  const input = await readings.first();
  const cluster = new WholeCluster(input.snapshot, input.services, nodes);
  return {
    cluster,
    input,
    follow: (changed) =>
      readings.follow(({ snapshot }) => {
        if (cluster.replace(snapshot)) changed();
      }),
    stop: () => readings.stop(),
  };
}

function followKube(
  { kubeconfig, context }: ClusterInputFlags,
  cluster: WholeCluster,
  input: ClusterInput,
): FollowedCluster {
  const choice = { ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }) };
  const log = createLogger('watch', 'warn');
  let following: ClusterWatch | undefined;
  return {
    cluster,
    input,
    follow: (changed) => {
      const onChanges: OnChanges = (take) => {
        const changes = take();
        if (changes.length === 0) return;
        cluster.apply(changes);
        changed();
      };
      const connection = new ApiConnection(() => loadKubeConfig(choice));
      const watching = new ClusterWatch({ connection, log, onChanges });
      following = watching;
      watching.start();
      watching.synced.then(
        () => {
          if (cluster.replace(watching.baseline())) changed();
        },
        () => undefined,
      );
    },
    stop: async () => {
      await following?.stop();
    },
  };
}
