/** A pod as the container runtime knows it. */
import { canonicalAddress } from '../cluster/addresses.ts';
import type { Labels } from '../cluster/records.ts';
import type { PodSandbox } from './messages.ts';

export interface SandboxPod {
  /** The sandbox's. A pod whose sandbox is made anew has another one. */
  readonly id: string;
  /** The pod's, as in the API. (For a static pod it is the hash of its manifest.) */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Of the time when the sandbox was made. */
  readonly labels: Labels;
  readonly annotations: Labels;
  /** Canonical. Empty if the runtime does not tell: `addressesInNetns` reads them. */
  readonly addresses: readonly string[];
  /**
   * As the runtime sees it. Undefined for a pod on the host's network, and for a sandbox whose
   * process is gone when it is removed.
   */
  readonly netnsPath?: string;
  /** The process that holds the sandbox; 0 if it is stopped, or needs none (CRI-O). */
  readonly pid: number;
}

/**
 * Labels that are not the pod's own. The kubelet sets its three on every sandbox, even if the pod
 * has labels with these keys (kubernetes, pkg/kubelet/kuberuntime/labels.go). CRI-O adds the name
 * of the sandbox's container, and containerd its kind.
 */
const FOREIGN_LABELS = [
  'io.kubernetes.pod.name',
  'io.kubernetes.pod.namespace',
  'io.kubernetes.pod.uid',
  'io.kubernetes.container.name',
  'io.cri-containerd.kind',
];

export function sandboxPod({
  id,
  uid,
  name,
  namespace,
  labels,
  annotations,
  netnsPath,
  pid,
  ips,
}: PodSandbox): SandboxPod {
  const ownLabels = new Map(labels);
  for (const label of FOREIGN_LABELS) ownLabels.delete(label);
  return {
    id,
    uid,
    name,
    namespace,
    labels: Object.fromEntries(ownLabels),
    annotations: Object.fromEntries(annotations),
    addresses: ips.flatMap((address) => canonicalAddress(address) ?? []),
    ...(netnsPath !== '' && { netnsPath }),
    pid,
  };
}
