/** The cluster that a command asks about, from manifests or from a kubeconfig. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Family, isMistake } from '../../cluster/addresses.ts';
import type { ClusterSnapshot } from '../../cluster/store.ts';
import { parseTypedCidr } from '../../cluster/typed-addresses.ts';
import { ManifestOptionError } from '../../manifests/address-range.ts';
import { clusterOf } from '../../manifests/cluster.ts';
import { type LoadedManifests, loadManifests } from '../../manifests/load.ts';
import { formatProblem, type ManifestProblem } from '../../manifests/problems.ts';
import { refusedOf } from '../../policy/refused-policies.ts';
import type { ClusterRead } from './cluster-read.ts';
import { InputError } from './exit-code.ts';
import { tell } from './tell.ts';

/** As commander gives them. */
export interface ClusterInputFlags {
  readonly manifests?: readonly string[];
  readonly family: keyof typeof FAMILIES;
  readonly podRange?: readonly string[];
  readonly kubeconfig?: string;
  readonly context?: string;
}

export interface ClusterInput extends ClusterRead {
  /** Already reported on standard error. */
  readonly problems: readonly ManifestProblem[];
  /** Whether something in it is wrong, or a policy is refused. */
  readonly hasErrors: boolean;
}

export const FAMILIES = {
  ipv4: ['IPv4'],
  ipv6: ['IPv6'],
  dual: ['IPv4', 'IPv6'],
} as const satisfies Record<string, readonly Family[]>;

/** Most pods of one workload. More would get the same answers. */
const MAX_REPLICAS = 100;

/** Adds the flags that `readClusterInput` reads. */
export function withClusterInput(command: Command): Command {
  return command
    .option('-m, --manifests <path>', 'file or folder with manifests, or - for standard input; repeatable', collect)
    .addOption(
      new Option('--family <family>', 'address family for pods and Services whose manifests have no address')
        .choices(Object.keys(FAMILIES))
        .default('ipv4'),
    )
    .option(
      '--pod-range <cidr>',
      'address range for pods whose manifests have no address (default: 10.244.0.0/16 is assumed); repeatable',
      collectRange,
    )
    .option('--kubeconfig <file>', 'the cluster of this kubeconfig (default: $KUBECONFIG, ~/.kube/config)')
    .option('--context <name>', 'context of the kubeconfig (default: its current one)');
}

/** For options that can be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** For options that are CIDR blocks. */
export function collectRange(value: string, before: readonly string[] = []): string[] {
  const range = parseTypedCidr(value);
  if (isMistake(range)) throw new InvalidArgumentError(`${range.message}.${range.hint ? ` ${range.hint}` : ''}`);
  return collect(value, before);
}

/**
 * Reads manifests, or else lists the objects of the cluster. Reports on standard error what is
 * wrong in single objects.
 * @throws InputError for flags that contradict each other, UnavailableError if the cluster does not
 * answer
 */
export async function readClusterInput(flags: ClusterInputFlags): Promise<ClusterInput> {
  const { manifests, kubeconfig, context } = flags;
  if (manifests !== undefined && (kubeconfig ?? context) !== undefined) {
    throw new InputError(
      '--manifests and --kubeconfig: give one or the other, because the policies come from one place',
    );
  }
  const { problems, ...input } =
    manifests === undefined
      ? await (await import('./kube-cluster.ts')).readKubeCluster(kubeconfig, context)
      : await readManifests(manifests, flags);
  for (const problem of problems) tell(`${formatProblem(problem)}\n`);
  const refused = tellRefused(input.snapshot);
  return { ...input, problems, hasErrors: refused > 0 || problems.some(({ severity }) => severity === 'error') };
}

/**
 * Reports refused policies on standard error. Returns how many there are.
 * @param where begins each line
 */
export function tellRefused(snapshot: ClusterSnapshot, where = ''): number {
  const refused = refusedOf(snapshot);
  for (const { policy, reason, refuses } of refused.values()) {
    const effect = refuses === 'all' ? '. Unless it is audited, it isolates its pods and allows nothing.' : '.';
    tell(`${where}NetworkPolicy ${policy} is refused: ${reason}${effect}\n`);
  }
  return refused.size;
}

async function readManifests(paths: readonly string[], flags: ClusterInputFlags): Promise<ClusterRead> {
  const loaded = await loadForQuestions(paths, flags);
  return { ...clusterOf(loaded, FAMILIES[flags.family]), problems: loaded.problems, title: paths.join(', ') };
}

/** @throws InputError if --pod-range has no room for the pods */
export async function loadForQuestions(
  paths: readonly string[],
  { family, podRange = [] }: Pick<ClusterInputFlags, 'family' | 'podRange'>,
): Promise<LoadedManifests> {
  try {
    const families = FAMILIES[family];
    return await loadManifests(paths, { families, podRanges: podRange, maxReplicas: MAX_REPLICAS });
  } catch (error) {
    throw error instanceof ManifestOptionError ? new InputError(`--pod-range: ${error.message}`) : error;
  }
}
