/** The cluster of a command that runs until it is ended: what it knows follows the manifests, or the cluster, as they change. */
import { pino } from 'pino';
import { WholeCluster } from '../capture/whole-cluster.ts';
import { ApiConnection } from '../kube/api-connection.ts';
import { ClusterWatch } from '../kube/cluster-watch.ts';
import { loadKubeConfig } from '../kube/kubeconfig.ts';
import type { ManifestProblem } from '../manifests/problems.ts';
import type { NodeIdentity } from '../policy/compiler.ts';
import { type ClusterInput, type ClusterInputFlags, readClusterInput } from './cluster-input.ts';
import { PathWatch } from './path-watch.ts';

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
  const { manifests = [] } = flags;
  // Before the first reading, so that no change falls between the two. Standard input can be read only once.
  const watched = new PathWatch(manifests.includes('-') ? [] : manifests);
  const input = await readClusterInput(flags);
  const cluster = new WholeCluster(input.snapshot, input.services, nodes);
  if (flags.manifests === undefined) return followKube(flags, cluster, input);
  return followManifests(flags, watched, cluster, input);
}

function followManifests(
  flags: ClusterInputFlags,
  watched: PathWatch,
  cluster: WholeCluster,
  input: ClusterInput,
): FollowedCluster {
  let known = input;
  let reading = Promise.resolve();
  const reread = async (changed: () => void) => {
    try {
      const next = await readClusterInput(flags);
      if (losesSomething(known, next)) {
        process.stderr.write('What was known stands until that is mended.\n');
        return;
      }
      known = next;
      if (cluster.replace(next.snapshot)) changed();
    } catch (error) {
      process.stderr.write(`${(error as Error).message}. What was known stands.\n`);
    }
  };
  return {
    cluster,
    input,
    follow: (changed) =>
      watched.follow(() => {
        reading = reading.then(() => reread(changed));
      }),
    stop: async () => watched.stop(),
  };
}

/**
 * Is something missing that was there before, because it cannot be read? A pod or a file that is gone by mistake would take its isolation with it; a policy that cannot be read
 * fails closed by itself.
 */
function losesSomething(before: ClusterInput, { problems }: ClusterInput): boolean {
  const nameOf = ({ file, object, field, message }: ManifestProblem) => `${file} ${object} ${field} ${message}`;
  const known = new Set(before.problems.map(nameOf));
  return problems.some((problem) => hidesObjects(problem) && !known.has(nameOf(problem)));
}

/** May a pod, a namespace or a policy be no part of the cluster because of this: a file without objects, an object that cannot be read? */
export function hidesObjects({ severity, object, line }: ManifestProblem): boolean {
  return severity === 'error' ? !/^(NetworkPolicy|Service) /.test(object) : object === '' && line === 0;
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
