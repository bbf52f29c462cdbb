/** The agents of a cluster: is there one on every node, all of one version, all enforcing? */
import type { PodFacts, Presence } from './enforcers.ts';
import { type Finding, finding } from './finding.ts';

/** The fields of an agent's /status that doctor reads. */
export interface AgentStatus {
  readonly version: string;
  readonly ready: boolean;
  readonly notReady: string | null;
  readonly mode: { readonly mode: 'enforce' | 'audit' } | null;
  /** Findings of the agent's own checks; absent from agents older than these checks. */
  readonly findings?: readonly Finding[];
  /** Age of the findings; absent from agents that check only at their start. */
  readonly findingsAgeSeconds?: number;
}

export interface AgentFacts {
  readonly pod: PodFacts;
  /**
   * The answer, or why there is none, in one line; `down` if the pod does not run or is not Ready.
   */
  readonly status: AgentStatus | { readonly error: string; readonly down?: true };
}

/** Whether this is a pod of podfence: every way to install it sets this label. */
export function isAgentPod({ labels, containers }: PodFacts): boolean {
  return labels['app.kubernetes.io/name'] === 'podfence' && containers.some(({ name }) => name === 'agent');
}

/**
 * Returns whether any agent enforces. One that could not be queried counts as enforcing, unless its
 * pod is down.
 */
export function presenceOf(agents: readonly AgentFacts[]): Presence {
  const presences = agents.map(({ status }): Presence => {
    if ('error' in status) return status.down ? 'absent' : 'enforce';
    return status.mode?.mode ?? 'absent';
  });
  return (['enforce', 'audit'] as const).find((presence) => presences.includes(presence)) ?? 'absent';
}

/** Returns the findings about the agents of one node. */
export function agentOfNode(agents: readonly AgentFacts[], isAnywhere: boolean): Finding[] {
  const [agent, ...more] = agents;
  if (agent === undefined) {
    if (!isAnywhere) return [];
    return [
      finding(
        'agents',
        'problem',
        'certain',
        'No agent runs on this node, though podfence is installed: policies have no effect on its pods, except where an agent of another node judges the other end.',
        'See why the DaemonSet skips it: kubectl -n podfence-system describe daemonset podfence (node selector, taints).',
      ),
    ];
  }
  const found = [readiness(agent)];
  if (more.length > 0) {
    const names = agents.map(({ pod }) => `${pod.namespace}/${pod.name}`).join(', ');
    found.push(
      finding(
        'agents',
        'problem',
        'certain',
        `Several agents run here (${names}): only one can read a queue.`,
        'Delete all DaemonSets of podfence but one.',
      ),
    );
  }
  return found;
}

function readiness({ status }: AgentFacts): Finding {
  if ('error' in status && status.down) {
    return finding(
      'agent-ready',
      'problem',
      'certain',
      `The agent does not run: ${status.error}. Policies have no effect on new pods of this node. The kernel rules of an earlier agent stay, and drop new connections of the pods that it isolated (--fail closed).`,
      'See its log, and why its pod does not run: kubectl -n podfence-system describe pods.',
    );
  }
  if ('error' in status) {
    return finding(
      'agent-ready',
      'warning',
      'certain',
      `The agent could not be queried: ${status.error}.`,
      'See the log of its pod. doctor asks through the API server, and needs the right to get pods/proxy.',
    );
  }
  if (!status.ready) {
    return finding(
      'agent-ready',
      'problem',
      'certain',
      `The agent is not ready: ${status.notReady ?? 'it does not say why'}.`,
      'See the log of its pod.',
    );
  }
  return status.mode?.mode === 'audit'
    ? finding(
        'agent-ready',
        'info',
        'certain',
        'The agent is in audit mode: it enforces nothing.',
        'Set PODFENCE_MODE=enforce to enforce.',
      )
    : finding('agent-ready', 'ok', 'certain', 'The agent enforces.');
}

/** Says how old the agents' findings are at most; undefined if no agent has any. */
export function ageOfFindings(agents: readonly AgentFacts[]): string | undefined {
  const told = agents.flatMap(({ status }) => ('error' in status || !status.findings?.length ? [] : [status]));
  if (told.length === 0) return undefined;
  const ages = told.map(({ findingsAgeSeconds }) => findingsAgeSeconds ?? Number.POSITIVE_INFINITY);
  const oldest = Math.max(...ages);
  if (oldest === Number.POSITIVE_INFINITY) return 'checked by agents when they started';
  return `checked by agents at most ${oldest < 120 ? `${Math.ceil(oldest)} s` : `${Math.ceil(oldest / 60)} min`} ago`;
}

/** @param examined whether pods that doctor started have tried the kernels */
export function notInstalled(examined: boolean): Finding {
  return finding(
    'agents',
    'info',
    'certain',
    'podfence is not installed in this cluster: no pod has the label app.kubernetes.io/name=podfence.',
    examined
      ? undefined
      : 'What a kernel can do is only tried on the node: run podfence doctor there as root, or here with --run-pod --image IMAGE.',
  );
}

export function agentVersions(agents: readonly AgentFacts[]): Finding[] {
  const nodesOf = new Map<string, string[]>();
  for (const { pod, status } of agents) {
    if ('error' in status) continue;
    nodesOf.set(status.version, [...(nodesOf.get(status.version) ?? []), pod.node]);
  }
  if (nodesOf.size === 0) return [];
  const [only] = nodesOf.keys();
  if (nodesOf.size === 1) return [finding('agent-version', 'ok', 'certain', `All agents run version ${only}.`)];
  const versions = [...nodesOf].map(([version, nodes]) => `${version} on ${fewNames(nodes)}`);
  return [
    finding(
      'agent-version',
      'warning',
      'certain',
      `Agents of different versions run: ${versions.join('; ')}. The two ends of a connection may read policies differently.`,
      'This passes when the rollout is complete: kubectl -n podfence-system rollout status daemonset podfence.',
    ),
  ];
}

const SHOWN = 3;

function fewNames(names: readonly string[]): string {
  const more = names.length - SHOWN;
  return `${names.slice(0, SHOWN).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
