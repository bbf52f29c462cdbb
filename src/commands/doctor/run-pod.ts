/**
 * `--run-pod`: a short-lived pod on each node without an agent examines the node and prints its
 * findings. All pods are in a namespace of their own, which is removed again, after Ctrl-C too.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeObject } from '../../doctor/cluster.ts';
import { type Finding, finding } from '../../doctor/finding.ts';
import { toApiError } from '../../kube/api-error.ts';
import { systemClock } from '../../kube/clock.ts';
import { type NamespaceObject, ShortLivedNamespace } from '../../kube/short-lived-namespace.ts';
import { UnavailableError } from '../shared/exit-code.ts';
import { fieldsOf, itemsOf, textOf } from './api-objects.ts';
import type { ClusterApi } from './cluster-api.ts';
import { readFindings } from './cluster-facts.ts';

export interface RunPodOptions {
  readonly api: ClusterApi;
  readonly image: string;
  readonly nodes: readonly NodeObject[];
  readonly signal: AbortSignal;
  /** Reports each step to the user. */
  readonly say: (line: string) => void;
}

/** Milliseconds for all pods. Most of it goes into pulling the image. */
const LIMIT = 120_000;
const POLL = 500;
/** The kubelet ends a pod after this, in seconds, if doctor does not remove it. */
const DEADLINE = 180;
/** Where the node's /run is in the pod. */
const NODE_RUN = '/host/run';

/** Returns the findings by node. Throws an UnavailableError if no pod may be created. */
export async function examineByPods(options: RunPodOptions): Promise<ReadonlyMap<string, readonly Finding[]>> {
  const { api, nodes, say, signal } = options;
  const { requests } = api;
  const object = namespaceObject(`podfence-doctor-${randomBytes(4).toString('hex')}`);
  const namespace = new ShortLivedNamespace(requests, systemClock, object);
  try {
    await made(namespace.create(signal));
    say(
      `starting a pod on ${nodes.length === 1 ? nodes[0]?.name : `each of ${nodes.length} nodes`}, in the namespace ${namespace.name}`,
    );
    const names = new Map(nodes.map((node, index) => [`doctor-${index}`, node]));
    for (const [name, node] of names)
      await made(requests.create(`${namespace.path}/pods`, podObject(name, node, options.image), signal));
    return await collect(options, namespace.path, names);
  } finally {
    await remove(namespace, say);
  }
}

async function made(request: Promise<void>): Promise<void> {
  try {
    await request;
  } catch (error) {
    throw new UnavailableError(`--run-pod cannot create what it needs: ${toApiError(error).message}`);
  }
}

/** @param namespace path of the namespace */
async function collect(
  { api, signal }: RunPodOptions,
  namespace: string,
  names: ReadonlyMap<string, NodeObject>,
): Promise<Map<string, readonly Finding[]>> {
  const found = new Map<string, readonly Finding[]>();
  const states = new Map<string, string>();
  const end = performance.now() + LIMIT;
  while (found.size < names.size && performance.now() < end) {
    await delay(POLL, undefined, { signal });
    const answer = fieldsOf(await api.json(`${namespace}/pods`));
    for (const object of itemsOf(answer.items)) {
      const name = textOf(fieldsOf(fieldsOf(object).metadata).name);
      const node = names.get(name);
      if (node === undefined || found.has(node.name)) continue;
      const { phase, reason } = stateOf(object);
      states.set(node.name, reason);
      if (phase === 'Succeeded' || phase === 'Failed')
        found.set(node.name, await readLog(api, namespace, name, reason));
    }
  }
  for (const { name } of names.values()) {
    if (found.has(name)) continue;
    const state = states.get(name) || 'it has not ended';
    found.set(name, [failed(`Doctor's pod reported nothing within ${LIMIT / 1000} s: ${state}.`)]);
  }
  return found;
}

/** A pod ends with the exit code of its findings, so a failed pod may have reported everything. */
async function readLog(api: ClusterApi, namespace: string, name: string, reason: string): Promise<readonly Finding[]> {
  const log = await api.text(`${namespace}/pods/${name}/log`).catch((error: unknown) => toApiError(error).message);
  try {
    return readFindings(itemsOf(fieldsOf(JSON.parse(log)).findings));
  } catch {
    const words = log.trim().split('\n').at(-1) || reason || 'its log is empty';
    return [failed(`Doctor's pod could not examine the node: ${words.slice(0, 300).replace(/\.$/, '')}.`)];
  }
}

function failed(message: string): Finding {
  return finding(
    'not-looked',
    'warning',
    'certain',
    message,
    'Is --image an image of podfence that this node can pull, and of this version?',
  );
}

/** A waiting pod has its reason in the container's status, a refused pod in its own. */
function stateOf(object: unknown): { phase: string; reason: string } {
  const { phase, reason, message, containerStatuses } = fieldsOf(fieldsOf(object).status);
  const [container] = itemsOf(containerStatuses);
  const waiting = fieldsOf(fieldsOf(fieldsOf(container).state).waiting);
  const words = [textOf(waiting.reason) || textOf(reason), textOf(waiting.message) || textOf(message)];
  return { phase: textOf(phase), reason: words.filter((word) => word !== '').join(': ') };
}

/**
 * Removes the namespace, whatever happened: the signal that ended the run does not end this. The
 * pods have no grace period and go with it at once.
 */
async function remove(namespace: ShortLivedNamespace, say: (line: string) => void): Promise<void> {
  const reason = await namespace.remove(new AbortController().signal);
  if (reason === undefined) return;
  say(
    `the namespace ${namespace.name} could not be removed: ${reason}. Remove it: kubectl delete namespace ${namespace.name}`,
  );
}

function namespaceObject(name: string): NamespaceObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      labels: {
        'app.kubernetes.io/name': 'podfence-doctor',
        // The pod has the node's network and NET_ADMIN, which only this level admits.
        'pod-security.kubernetes.io/enforce': 'privileged',
      },
    },
  };
}

/**
 * A pod with an agent's rights, and with the node's /run, read-only, to look for the NRI socket.
 */
function podObject(name: string, node: NodeObject, image: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { 'app.kubernetes.io/name': 'podfence-doctor' } },
    spec: {
      nodeName: node.name,
      hostNetwork: true,
      dnsPolicy: 'Default',
      restartPolicy: 'Never',
      activeDeadlineSeconds: DEADLINE,
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      tolerations: [{ operator: 'Exists' }],
      securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'doctor',
          image,
          imagePullPolicy: 'IfNotPresent',
          args: ['doctor', '--node', '--json', '--node-run', NODE_RUN, '--runtime', node.containerRuntime],
          securityContext: {
            runAsUser: 0,
            runAsNonRoot: false,
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
          },
          volumeMounts: [
            { name: 'run', mountPath: NODE_RUN, readOnly: true },
            { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
          ],
        },
      ],
      volumes: [
        { name: 'run', hostPath: { path: '/run', type: 'Directory' } },
        { name: 'xtables-lock', hostPath: { path: '/run/xtables.lock', type: 'FileOrCreate' } },
      ],
    },
  };
}
