/**
 * The cluster as podfence sees it: only the fields that decide a packet, projected from the
 * Kubernetes API objects (https://kubernetes.io/docs/reference/kubernetes-api/). Every source of
 * records, an API server or a folder of manifests, yields these and nothing else. Records are
 * immutable; a change is a new record.
 */

export type Labels = Readonly<Record<string, string>>;

/** Transport protocols that a NetworkPolicyPort can name (core/v1 Protocol). */
export type Protocol = 'TCP' | 'UDP' | 'SCTP';

/** Whether denials by a policy are enforced or only reported. */
export type PolicyMode = 'enforce' | 'audit';

export interface NamespaceRecord {
  readonly kind: 'Namespace';
  readonly name: string;
  /** Always contains `kubernetes.io/metadata.name`. */
  readonly labels: Labels;
  /** As annotated, for policies of the namespace without a mode of their own. See mode.ts. */
  readonly mode?: PolicyMode;
}

export interface ContainerPort {
  readonly name?: string;
  /** 1 to 65535. */
  readonly port: number;
  readonly protocol: Protocol;
}

/** `status.phase` of core/v1. */
export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

/** The object that created the pod and maintains it, from `metadata.ownerReferences`. */
export interface PodController {
  readonly kind: string;
  readonly name: string;
}

export interface PodRecord {
  readonly kind: 'Pod';
  readonly namespace: string;
  readonly name: string;
  /** `metadata.uid`, which tells pods of the same name apart. Absent from manifests. */
  readonly uid?: string;
  /** `metadata.creationTimestamp` in whole seconds since 1970. Absent from manifests. */
  readonly created?: number;
  /** Whether it has a `metadata.deletionTimestamp`: it runs on until its node has ended it. */
  readonly deleting?: true;
  readonly phase?: PodPhase;
  /**
   * Whether its node is lost, as far as the control plane knows (`status.reason: NodeLost`, or the
   * phase Unknown).
   */
  readonly lost?: true;
  /**
   * Whether it has addresses and its condition Ready is False: its containers are starting or fail
   * their probes, or its node has fallen silent.
   */
  readonly unready?: true;
  readonly controller?: PodController;
  readonly labels: Labels;
  /** Absent while the pod is not scheduled. */
  readonly nodeName?: string;
  /**
   * `status.podIPs`, textual, in the API's order. Empty without an address, and for Succeeded and
   * Failed pods.
   */
  readonly addresses: readonly string[];
  /**
   * `status.startTime` in whole seconds since 1970, for pods with addresses: when the node accepted
   * the pod. Its addresses became its own some time after. Absent if unknown. It decides no packet,
   * but a flow seen before it belongs to another pod.
   */
  readonly startedAt?: number;
  /**
   * Whether it is in the node's network namespace: then no policy applies to it, and no podSelector
   * matches it.
   */
  readonly hostNetwork: boolean;
  /**
   * Ports of all containers, and of init containers that are sidecars (`restartPolicy: Always`).
   */
  readonly ports: readonly ContainerPort[];
}

export type SelectorOperator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';

export interface SelectorRequirement {
  readonly key: string;
  readonly operator: SelectorOperator;
  readonly values: readonly string[];
}

/** meta/v1 LabelSelector: all requirements are ANDed; an empty selector matches everything. */
export interface LabelSelector {
  readonly matchLabels: Labels;
  readonly matchExpressions: readonly SelectorRequirement[];
}

export interface IpBlock {
  /** Validated CIDR text: `10.0.0.0/8`, `fd00::/8`. Host bits are allowed and ignored. */
  readonly cidr: string;
  /** CIDR texts inside `cidr`. */
  readonly except: readonly string[];
}

/** Exactly one of `ipBlock` or (`podSelector` and/or `namespaceSelector`) is set. */
export interface PolicyPeer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: IpBlock;
}

export interface PolicyPort {
  readonly protocol: Protocol;
  /** Number, container port name, or absent for every port of the protocol. */
  readonly port?: number | string;
  /** Last port of a range that starts at `port`, inclusive; only with a numeric `port`. */
  readonly endPort?: number;
}

/** One element of `ingress` or `egress`. */
export interface PolicyRule {
  /** Empty: any peer, addresses outside the cluster too. */
  readonly peers: readonly PolicyPeer[];
  /** Empty: every port of every protocol. */
  readonly ports: readonly PolicyPort[];
}

export const DIRECTIONS = ['egress', 'ingress'] as const;
export type Direction = (typeof DIRECTIONS)[number];

export interface PolicyRecord {
  readonly kind: 'NetworkPolicy';
  readonly namespace: string;
  readonly name: string;
  readonly podSelector: LabelSelector;
  /**
   * The directions for which it isolates the selected pods: `policyTypes` with the API's default.
   */
  readonly isolates: readonly Direction[];
  /** Rules count only for the directions in `isolates`. */
  readonly ingress: readonly PolicyRule[];
  readonly egress: readonly PolicyRule[];
  /** As annotated. See mode.ts. */
  readonly mode?: PolicyMode;
  /**
   * Why the policy could not be understood, if it could not. It then isolates its pods and has no
   * rules: an error fails closed. If even `podSelector` is unreadable, the selector is empty and
   * selects every pod of the namespace.
   */
  readonly error?: string;
}

export type ClusterRecord = NamespaceRecord | PodRecord | PolicyRecord;

/** A node of the cluster. No policy speaks of nodes; their addresses tell forged sources. */
export interface NodeRecord {
  readonly kind: 'Node';
  readonly name: string;
  readonly labels: Labels;
  /** `spec.podCIDRs`: the blocks from which the node gives addresses to pods, canonical text. */
  readonly podRanges: readonly string[];
  /** `status.addresses` of the types InternalIP and ExternalIP, canonical text. */
  readonly addresses: readonly string[];
}

/** What an API server is watched for. */
export type WatchedRecord = ClusterRecord | NodeRecord;

/** Returns the key of a record within its kind: its name, after `namespace/` if it is in one. */
export function recordKey(record: WatchedRecord): string {
  return 'namespace' in record ? `${record.namespace}/${record.name}` : record.name;
}
