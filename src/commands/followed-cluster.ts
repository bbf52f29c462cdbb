/** The cluster of a command that runs until it is ended: what it knows follows the manifests, or the cluster, as they change. */
import { type FSWatcher, watch } from 'node:fs';
import { pino } from 'pino';
import { WholeCluster } from '../capture/whole-cluster.ts';
import { ApiConnection } from '../kube/api-connection.ts';
import { ClusterWatch } from '../kube/cluster-watch.ts';
import { loadKubeConfig } from '../kube/kubeconfig.ts';
import type { NodeIdentity } from '../policy/compiler.ts';
import { type ClusterInput, type ClusterInputFlags, readClusterInput } from './cluster-input.ts';

/** An editor writes a file in several steps; what comes within this time, in ms, is read together. */
const SETTLE = 100;

export interface FollowedCluster {
  readonly cluster: WholeCluster;
  readonly input: ClusterInput;
  /** Calls `changed` after each change of what the cluster is judged by. */
  follow(changed: () => void): void;
  stop(): Promise<void>;
}

/** As `readClusterInput`, which throws the same. Services are those of the beginning. */
export async function followCluster(
  flags: ClusterInputFlags,
  nodes: readonly NodeIdentity[],
): Promise<FollowedCluster> {
  const input = await readClusterInput(flags);
  const cluster = new WholeCluster(input.snapshot, input.services, nodes);
  if (flags.manifests === undefined) return followKube(flags, cluster, input);
  return followManifests(flags, flags.manifests, cluster, input);
}

function followManifests(
  flags: ClusterInputFlags,
  paths: readonly string[],
  cluster: WholeCluster,
  input: ClusterInput,
): FollowedCluster {
  const watchers: FSWatcher[] = [];
  let timer: NodeJS.Timeout | undefined;
  const reread = async (changed: () => void) => {
    timer = undefined;
    try {
      if (cluster.replace((await readClusterInput(flags)).snapshot)) changed();
    } catch (error) {
      process.stderr.write(`${(error as Error).message}. What was known stands.\n`);
    }
  };
  return {
    cluster,
    input,
    follow: (changed) => {
      for (const path of paths.includes('-') ? [] : paths) {
        watchers.push(
          watch(path, { recursive: true }, () => {
            timer ??= setTimeout(() => void reread(changed), SETTLE);
          }),
        );
      }
    },
    stop: async () => {
      clearTimeout(timer);
      for (const each of watchers) each.close();
    },
  };
}

function followKube(
  { kubeconfig, context }: ClusterInputFlags,
  cluster: WholeCluster,
  input: ClusterInput,
): FollowedCluster {
  const choice = { ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }) };
  const log = pino({ level: 'warn' }, pino.destination({ dest: 2, sync: true }));
  let following: ClusterWatch | undefined;
  return {
    cluster,
    input,
    follow: (changed) => {
      const onChanges: ConstructorParameters<typeof ClusterWatch>[0]['onChanges'] = (changes) => {
        cluster.apply(changes);
        changed();
      };
      const connection = new ApiConnection(() => loadKubeConfig(choice));
      const watching = new ClusterWatch({ connection, log, onChanges });
      following = watching;
      watching.start();
      watching.synced.then(
        () => {
          if (cluster.replace(watching.snapshot())) changed();
        },
        () => undefined,
      );
    },
    stop: async () => {
      await following?.stop();
    },
  };
}
