/**
 * The facts of a cluster that doctor judges, from the API server and through it from the agents.
 */
import { setMaxListeners } from 'node:events';
import type { AgentFacts, AgentStatus } from '../../doctor/agents.ts';
import { isAgentPod } from '../../doctor/agents.ts';
import { CHECKS, SEVERITIES } from '../../doctor/checks.ts';
import type { ClusterFacts, NodeObject } from '../../doctor/cluster.ts';
import type { Finding } from '../../doctor/finding.ts';
import type { ProxyFacts } from '../../doctor/kube-proxy.ts';
import { AGENT_RIGHTS, type Right, type RightsFacts } from '../../doctor/rights.ts';
import { type ApiError, toApiError } from '../../kube/api-error.ts';
import { UnavailableError } from '../shared/exit-code.ts';
import { fieldsOf, type PodObject, readNode, readPod, textOf } from './api-objects.ts';
import type { ClusterApi } from './cluster-api.ts';

const DEFAULT_METRICS_PORT = 9464;
/** Agents asked at once. */
const AT_ONCE = 16;
const REVIEWS = '/apis/authorization.k8s.io/v1';

export interface ReadCluster {
  readonly facts: ClusterFacts;
  /** Nodes of which no agent reports findings. */
  readonly unseen: readonly NodeObject[];
}

/** Throws an UnavailableError if the cluster does not answer or Pods may not be listed. */
export async function readCluster(api: ClusterApi, signal: AbortSignal): Promise<ReadCluster> {
  // Every pending request adds a listener to it.
  setMaxListeners(0, signal);
  const failures: string[] = [];
  const pods = await podsOf(api);
  const [listedNodes, policies, agents, proxy] = await Promise.all([
    optional(failures, 'list nodes', () => nodesOf(api)),
    optional(failures, 'list networkpolicies', () => countPolicies(api)),
    askAgents(api, pods.filter(isAgentPod)),
    optional([], 'get the ConfigMap kube-system/kube-proxy', () => proxyOf(api)),
  ]);
  // Without the right to list nodes, the pods supply their names.
  const nodes = listedNodes ?? nodesOfPods(pods);
  const [agent] = pods.filter(isAgentPod);
  const rights =
    agent && (await optional(failures, 'create subjectaccessreviews', async () => await rightsOf(api, agent)));
  const seen = new Set(
    agents.filter(({ status }) => !('error' in status) && status.findings !== undefined).map(({ pod }) => pod.node),
  );
  return {
    facts: {
      nodes,
      pods,
      agents,
      failures,
      ...(policies !== undefined && { policies }),
      ...(proxy !== undefined && { proxy }),
      ...(rights !== undefined && { rights }),
    },
    unseen: nodes.filter(({ name }) => !seen.has(name)),
  };
}

async function podsOf(api: ClusterApi): Promise<PodObject[]> {
  const pods: PodObject[] = [];
  try {
    await api.list('/api/v1/pods', 'Pod', (object) => {
      const pod = readPod(object);
      if (pod !== undefined) pods.push(pod);
    });
  } catch (error) {
    throw new UnavailableError(`cannot read the cluster at ${api.server}: ${toApiError(error).message}`);
  }
  return pods;
}

async function nodesOf(api: ClusterApi): Promise<NodeObject[]> {
  const nodes: NodeObject[] = [];
  await api.list('/api/v1/nodes', 'Node', (object) => {
    const node = readNode(object);
    if (node !== undefined) nodes.push(node);
  });
  return nodes;
}

function nodesOfPods(pods: readonly PodObject[]): NodeObject[] {
  const names = new Set(pods.map(({ node }) => node).filter((name) => name !== ''));
  return [...names].map((name) => ({ name, kernelVersion: '', kubeletVersion: '', containerRuntime: '' }));
}

async function countPolicies(api: ClusterApi): Promise<number> {
  let count = 0;
  await api.list('/apis/networking.k8s.io/v1/networkpolicies', 'NetworkPolicy', () => count++);
  return count;
}

/** Reads kube-proxy's mode where kubeadm keeps it. Other installers keep it elsewhere. */
async function proxyOf(api: ClusterApi): Promise<ProxyFacts> {
  const { data } = fieldsOf(await api.json('/api/v1/namespaces/kube-system/configmaps/kube-proxy'));
  const text = textOf(fieldsOf(data)['config.conf']);
  const mode = /^mode:\s*"?([a-z]*)"?\s*(#.*)?$/m.exec(text)?.[1];
  // An empty mode means the default on Linux, iptables.
  return { mode: mode === '' ? 'iptables' : mode, by: 'by the ConfigMap kube-system/kube-proxy' };
}

async function askAgents(api: ClusterApi, pods: readonly PodObject[]): Promise<AgentFacts[]> {
  const agents: AgentFacts[] = [];
  for (let start = 0; start < pods.length; start += AT_ONCE) {
    const some = pods.slice(start, start + AT_ONCE);
    agents.push(...(await Promise.all(some.map(async (pod) => ({ pod, status: await askAgent(api, pod) })))));
  }
  return agents;
}

/** Asks through the API server's proxy to the pod, so no port has to be forwarded. */
async function askAgent(api: ClusterApi, pod: PodObject): Promise<AgentFacts['status']> {
  const { namespace, name, metricsPort = DEFAULT_METRICS_PORT, phase, obstacle } = pod;
  if (phase !== 'Running') return { error: obstacle ?? 'its pod is not running', down: true };
  try {
    return readStatus(await api.json(`/api/v1/namespaces/${namespace}/pods/${name}:${metricsPort}/proxy/status`));
  } catch (error) {
    // Report the pod's state, not the error, which may be a right that the user lacks: a pod that
    // is not Ready and gives no answer does not enforce.
    if (obstacle !== undefined) return { error: obstacle, down: true };
    return { error: wordsOf(toApiError(error), 'get pods/proxy') };
  }
}

function readStatus(answer: unknown): AgentStatus | { error: string } {
  const { version, ready, notReady, mode, findings, findingsAgeSeconds } = fieldsOf(answer);
  if (typeof version !== 'string' || typeof ready !== 'boolean')
    return { error: 'its answer is not the status of an agent' };
  return {
    version,
    ready,
    notReady: typeof notReady === 'string' ? notReady : null,
    mode: textOf(fieldsOf(mode).mode) === '' ? null : { mode: fieldsOf(mode).mode === 'audit' ? 'audit' : 'enforce' },
    ...(Array.isArray(findings) && { findings: readFindings(findings) }),
    ...(typeof findingsAgeSeconds === 'number' && { findingsAgeSeconds }),
  };
}

/**
 * Leaves out findings of checks that this version does not know: an agent may have another version.
 */
export function readFindings(answer: readonly unknown[]): Finding[] {
  return answer.map(fieldsOf).flatMap((each) => {
    const known =
      Object.hasOwn(CHECKS, textOf(each.check)) && SEVERITIES.some((severity) => severity === each.severity);
    return known && typeof each.message === 'string' ? [each as unknown as Finding] : [];
  });
}

/** Asks which rights the agents' ServiceAccount has. */
async function rightsOf(api: ClusterApi, { namespace, serviceAccount }: PodObject): Promise<RightsFacts> {
  const account = serviceAccount || 'default';
  const answers = await Promise.all(
    AGENT_RIGHTS.map(async (right) => {
      const review = await api.create(`${REVIEWS}/subjectaccessreviews`, {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          user: `system:serviceaccount:${namespace}:${account}`,
          groups: groupsOf(namespace),
          resourceAttributes: attributesOf(right),
        },
      });
      return { right, allowed: fieldsOf(fieldsOf(review).status).allowed === true };
    }),
  );
  return { subject: `The agents' ServiceAccount ${namespace}/${account}`, answers };
}

function attributesOf({ verb, group, resource }: Right) {
  return { verb, group, resource };
}

/** Returns the groups that the API server gives a service account. */
function groupsOf(namespace: string): string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
}

/**
 * Returns undefined if the user may not ask or the object is missing, and adds that to `failures`.
 */
async function optional<T>(failures: string[], right: string, ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    failures.push(`doctor could not ${right}: ${wordsOf(toApiError(error), right)}.`);
    return undefined;
  }
}

function wordsOf({ code, message }: ApiError, right: string): string {
  return code === 'forbidden' ? `the user of this kubeconfig lacks the right to ${right}` : message.replace(/\.$/, '');
}
