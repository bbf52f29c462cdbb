/**
 * All checks of a cluster, from its objects, from the agents' findings about their nodes, and from
 * short-lived pods on nodes without an agent.
 */
import { type AgentFacts, agentOfNode, agentVersions, isAgentPod, notInstalled, presenceOf } from './agents.ts';
import type { CheckName } from './checks.ts';
import type { PodFacts } from './enforcers.ts';
import { bySeverity, type Finding, finding, mergeNodes, type NodesFinding } from './finding.ts';
import { desktopKernel, firstPackets, parseRelease } from './kernel-release.ts';
import { kubeProxy, type ProxyFacts } from './kube-proxy.ts';
import { memoryLimit } from './memory.ts';
import { nri } from './nri.ts';
import { embeddedEnforcer, enforcersByPods } from './other-enforcers.ts';
import { apiRights, type RightsFacts } from './rights.ts';

/** A Linux node of the cluster. */
export interface NodeObject {
  readonly name: string;
  /** `uname -r` */
  readonly kernelVersion: string;
  readonly kubeletVersion: string;
  /** `containerd://2.2.9` */
  readonly containerRuntime: string;
}

export interface ClusterFacts {
  readonly nodes: readonly NodeObject[];
  readonly pods: readonly PodFacts[];
  /** Undefined if doctor may not list them. */
  readonly policies?: number;
  readonly agents: readonly AgentFacts[];
  readonly proxy?: ProxyFacts;
  readonly rights?: RightsFacts;
  /** By node: the findings of a pod that doctor started there. */
  readonly examined?: ReadonlyMap<string, readonly Finding[]>;
  /** What could not be checked, as sentences. */
  readonly failures?: readonly string[];
}

export function clusterFindings(facts: ClusterFacts): NodesFinding[] {
  const { agents, nodes, rights, failures = [] } = facts;
  const found = mergeNodes(nodes.map((node) => [node.name, findingsOfNode(node, facts)] as const));
  const overall: Finding[] = [];
  if (agents.length === 0) overall.push(notInstalled(facts.examined !== undefined));
  overall.push(...agentVersions(agents));
  if (rights !== undefined) overall.push(apiRights(rights));
  overall.push(...failures.map((failure) => finding('not-looked', 'info', 'certain', failure)));
  return bySeverity([...found, ...overall.map((each) => ({ ...each, nodes: [] }))]);
}

/**
 * Returns one node's findings. What was seen on the node outweighs what the API objects suggest.
 */
function findingsOfNode(node: NodeObject, facts: ClusterFacts): Finding[] {
  const agents = facts.agents.filter(({ pod }) => pod.node === node.name);
  const seen =
    facts.examined?.get(node.name) ??
    agents.flatMap(({ status }) => ('error' in status ? [] : (status.findings ?? [])));
  const concluded = concludedOf(node, agents, facts);
  const concludes = (name: CheckName) => concluded.some(({ check }) => check === name);
  const kept = seen.filter(
    ({ check, severity }) =>
      // The cluster's size is newer here than in the agent's finding.
      !(check === 'memory-limit' && concludes(check)) &&
      // An agent that started earlier than kube-proxy found none; the ConfigMap knows better.
      !(check === 'kube-proxy' && severity === 'info' && concludes(check)),
  );
  const checks = new Set<CheckName>(kept.map(({ check }) => check));
  return [...kept, ...concluded.filter(({ check }) => !checks.has(check))];
}

function concludedOf(
  node: NodeObject,
  agents: readonly AgentFacts[],
  { pods, agents: all, policies, proxy }: ClusterFacts,
): Finding[] {
  const release = parseRelease(node.kernelVersion);
  const presence = presenceOf(all);
  const here = pods.filter((pod) => pod.node === node.name && !isAgentPod(pod));
  const limits = agents.flatMap(({ pod }) => pod.containers.filter(({ name }) => name === 'agent')).slice(0, 1);
  return [
    ...agentOfNode(agents, all.length > 0),
    ...(release === undefined ? [] : [firstPackets(release), ...desktopKernel(release)]),
    ...enforcersByPods(here, presence),
    ...embeddedEnforcer(node.kubeletVersion, presence),
    ...nri({ runtime: node.containerRuntime }),
    ...(proxy?.mode === undefined ? [] : kubeProxy(proxy)),
    ...(policies === undefined
      ? []
      : limits.map((container) => memoryLimit({ limit: container.memoryLimit, pods: pods.length, policies }))),
  ];
}
