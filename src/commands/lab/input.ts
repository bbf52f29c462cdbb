/** The flags that `lab run` and `lab up` share, and the manifests that they name. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { SteeringChoice } from '../../dataplane/steering/probe.ts';
import type { AgentFlags } from '../../lab/node-messages.ts';
import type { ExternalHost } from '../../lab/plan.ts';
import { nodeNames } from '../../lab/scheduling.ts';
import { type LoadedManifests, type LoadOptions, loadManifests } from '../../manifests/load.ts';
import { formatProblem } from '../../manifests/problems.ts';
import { FAMILIES, tellRefused } from '../shared/cluster-input.ts';
import { InputError, UnavailableError } from '../shared/exit-code.ts';
import { parseExternal } from '../shared/external-host.ts';
import { tell } from '../shared/tell.ts';

/** As commander gives them. */
export interface LabInputFlags {
  readonly manifests: readonly string[];
  readonly nodes?: number;
  readonly external: readonly string[];
  readonly family: 'ipv4' | 'ipv6' | 'dual';
  readonly maxReplicas: number;
  readonly queues?: number;
  readonly steering: SteeringChoice;
  readonly offload: boolean;
  readonly deny: 'drop' | 'reject';
}

export interface LabArguments {
  readonly manifests: LoadedManifests;
  readonly nodes: readonly string[];
  readonly externals: readonly ExternalHost[];
  readonly agents: AgentFlags;
  /** Whether something in the manifests is wrong, or a policy is refused. */
  readonly hasErrors: boolean;
}

/** @throws UnavailableError, in one line, if the lab cannot run here. */
export function requireRoot(): void {
  if (process.platform !== 'linux') {
    throw new UnavailableError(
      'the lab needs Linux (network namespaces); `npm run demo` judges packets in memory here',
    );
  }
  if (process.getuid?.() !== 0) {
    throw new UnavailableError(
      'the lab needs root (network namespaces); `npm run demo` judges packets in memory without',
    );
  }
}

/**
 * Loads the manifests and reports on standard error what is wrong with them. @throws InputError if
 * nothing can be run.
 */
export async function readLabArguments(flags: LabInputFlags): Promise<LabArguments> {
  const externals = flags.external.map(parseExternal);
  const stdin = flags.manifests.includes('-') ? await buffer(process.stdin) : undefined;
  const load = (options: LoadOptions) =>
    loadManifests(flags.manifests, {
      ...options,
      families: FAMILIES[flags.family],
      maxReplicas: flags.maxReplicas,
      ...(stdin ? { stdin: Readable.from([stdin]) } : {}),
    });
  const first = await load({});
  const nodes = nodeNames(first.snapshot.pods, flags.nodes);
  // Now the nodes are known. Load again, because a DaemonSet has a pod on every one of them.
  const manifests = nodes.length > 1 ? await load({ nodes }) : first;
  for (const problem of manifests.problems) tell(`${formatProblem(problem)}\n`);
  const refused = tellRefused(manifests.snapshot);
  const skipped = [...manifests.skipped].map(([kind, number]) => `${number} ${kind}`);
  if (skipped.length > 0) tell(`Skipped, because the lab has no use for them: ${skipped.join(', ')}.\n`);
  if (manifests.snapshot.pods.length === 0) throw new InputError('the manifests have no pods');
  const { queues, steering, offload, deny } = flags;
  return {
    manifests,
    nodes,
    externals,
    agents: { steering, offload, deny, ...(queues === undefined ? {} : { queues }) },
    hasErrors: refused > 0 || manifests.problems.some(({ severity }) => severity === 'error'),
  };
}
