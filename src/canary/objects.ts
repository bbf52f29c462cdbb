/** The Kubernetes objects of a canary. Its namespace enforces the Pod Security Standard `restricted`, and its pods live up to it. */
import type { CanaryPod, Role } from './plan.ts';
import type { PodTask } from './report-line.ts';

export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string };
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** Finds what a canary left behind that was killed: `kubectl delete namespace -l app.kubernetes.io/name=podfence-canary`. */
export const CANARY_LABEL = 'app.kubernetes.io/name=podfence-canary';

const LABELS = { 'app.kubernetes.io/name': 'podfence-canary' };
const ROLE = 'podfence.io/canary';
/** Nobody's number. Any but 0 does: the program reads its own files and opens sockets. */
const USER = 65534;

export interface ImageChoice {
  readonly image: string;
  readonly pullPolicy: string;
}

export function namespaceObject(name: string): ApiObject {
  const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { ...LABELS, ...restricted } } };
}

/** @param lifetime seconds after which the pod ends by itself, should nobody remove it */
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
      // A proxy beside the program would answer in place of the peer.
      annotations: { 'sidecar.istio.io/inject': 'false', 'linkerd.io/inject': 'disabled' },
    },
    spec: {
      // By affinity and not by nodeName, so that the scheduler keeps to what nodes take.
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: onNode(pod.node) } },
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      // One that died stays dead: what started again would hide that it was away.
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

/** Those that all others wait for get more of a busy node. */
export function isServer(role: Role): boolean {
  return role === 'server' || role === 'control-server';
}

function onNode(name: string) {
  return {
    nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }],
  };
}

const from = (role: Role) => ({ podSelector: { matchLabels: { [ROLE]: role } } });

/** Each isolates one role for one direction, so that a denial has one policy only that it can come from. */
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
