/** The cluster that a command asks about: from manifests, or the one of a kubeconfig. */
import { type Command, Option } from 'commander';
import type { Family } from '../cluster/addresses.ts';
import { clusterOf } from '../manifests/cluster.ts';
import { loadManifests } from '../manifests/load.ts';
import { formatProblem } from '../manifests/problems.ts';
import type { ClusterRead } from './cluster-read.ts';
import { InputError } from './exit-code.ts';

/** As commander gives them. */
export interface ClusterInputFlags {
  readonly manifests?: readonly string[];
  readonly family: keyof typeof FAMILIES;
  readonly kubeconfig?: string;
  readonly context?: string;
}

export interface ClusterInput extends Omit<ClusterRead, 'problems'> {
  /** Something in it is wrong, and was told on standard error. */
  readonly hasErrors: boolean;
}

export const FAMILIES = {
  ipv4: ['IPv4'],
  ipv6: ['IPv6'],
  dual: ['IPv4', 'IPv6'],
} as const satisfies Record<string, readonly Family[]>;

/** More pods of one workload would answer as the others do. */
export const MAX_REPLICAS = 100;

/** The flags that `readClusterInput` reads. */
export function withClusterInput(command: Command): Command {
  return command
    .option('-m, --manifests <path>', 'file or folder with manifests, or - for standard input; repeatable', collect)
    .addOption(
      new Option('--family <family>', 'addresses of pods and Services of manifests that have none')
        .choices(Object.keys(FAMILIES))
        .default('ipv4'),
    )
    .option('--kubeconfig <file>', 'the cluster of this kubeconfig (default: $KUBECONFIG, ~/.kube/config)')
    .option('--context <name>', 'context of the kubeconfig (default: its current one)');
}

/** For options that can be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/**
 * Reads manifests, or else lists the objects of the cluster. What is wrong in single objects is told on standard error.
 * @throws InputError for flags that contradict each other, UnavailableError where the cluster does not answer
 */
export async function readClusterInput(flags: ClusterInputFlags): Promise<ClusterInput> {
  const { manifests, kubeconfig, context, family } = flags;
  if (manifests !== undefined && (kubeconfig ?? context) !== undefined) {
    throw new InputError('--manifests and --kubeconfig: give one or the other, for the policies come from one place');
  }
  const { problems, ...input } =
    manifests === undefined
      ? await (await import('./kube-cluster.ts')).readKubeCluster(kubeconfig, context)
      : await readManifests(manifests, FAMILIES[family]);
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  return { ...input, hasErrors: problems.some(({ severity }) => severity === 'error') };
}

async function readManifests(paths: readonly string[], families: readonly Family[]): Promise<ClusterRead> {
  const loaded = await loadManifests(paths, { families, maxReplicas: MAX_REPLICAS });
  return { ...clusterOf(loaded, families), problems: loaded.problems, title: paths.join(', ') };
}
