/**
 * The Kubernetes objects of a canary. Its namespace enforces the Pod Security Standard
 * `restricted`, and its pods conform to it.
 */
import type { CanaryPod, Role } from './plan.ts';
import type { PodTask } from './report-line.ts';

export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string };
  readonly spec?: Readonly<Record<string, unknown>>;
}

/**
 * Finds what a killed canary left behind: `kubectl delete namespace -l
 * app.kubernetes.io/name=podfence-canary`.
 */
export const CANARY_LABEL = 'app.kubernetes.io/name=podfence-canary';

const LABELS = { 'app.kubernetes.io/name': 'podfence-canary' };
const ROLE = 'podfence.io/canary';
/** The user nobody. Any but 0 works: the program only reads its own files and opens sockets. */
const USER = 65534;

export interface ImageChoice {
  readonly image: string;
  readonly pullPolicy: string;
}

export function namespaceObject(name: string): ApiObject {
  const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { ...LABELS, ...restricted } } };
}

/** @param lifetime seconds after which the pod ends by itself if it is not removed */
export function podObject(
  pod: CanaryPod,
  task: PodTask,
  { image, pullPolicy }: ImageChoice,
  lifetime: number,
): ApiObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: pod.name,
      labels: { ...LABELS, [ROLE]: pod.role },
      // A sidecar proxy would answer in place of the peer.
      annotations: { 'sidecar.istio.io/inject': 'false', 'linkerd.io/inject': 'disabled' },
    },
    spec: {
      // Affinity instead of nodeName, so the scheduler respects taints and capacity.
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: onNode(pod.node) } },
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      // A pod that died stays dead: a restart would hide the gap.
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      activeDeadlineSeconds: lifetime,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER,
        runAsGroup: USER,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'canary',
          image,
          imagePullPolicy: pullPolicy,
          args: ['canary-pod', JSON.stringify(task)],
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          resources: {
            requests: { cpu: isServer(pod.role) ? '100m' : '20m', memory: '48Mi' },
            limits: { memory: '256Mi' },
          },
        },
      ],
    },
  };
}

/** Servers get more of a busy node because all other pods wait for them. */
export function isServer(role: Role): boolean {
  return role === 'server' || role === 'control-server';
}

function onNode(name: string) {
  return {
    nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }],
  };
}

const from = (role: Role) => ({ podSelector: { matchLabels: { [ROLE]: role } } });

/** Each policy isolates one role in one direction, so a denial can come from one policy only. */
export const POLICIES = {
  newcomer: policy('newcomer-egress', 'newcomer', { policyTypes: ['Egress'], egress: [] }),
  ingress: policy('server-ingress', 'server', { policyTypes: ['Ingress'], ingress: [{ from: [from('client')] }] }),
  egress: policy('client-egress', 'client', { policyTypes: ['Egress'], egress: [{ to: [from('server')] }] }),
} as const;

export type PolicyName = keyof typeof POLICIES;

function policy(name: string, role: Role, spec: Readonly<Record<string, unknown>>): ApiObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name },
    spec: { podSelector: { matchLabels: { [ROLE]: role } }, ...spec },
  };
}
