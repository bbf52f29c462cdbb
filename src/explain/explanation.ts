/**
 * What is said about a flow, with reasons. Plain JSON: `podfence explain --json` prints an Answer, the agent's /explain gives one, and the matrix
 * page shows the Explanation of a cell. A field that is absent does not apply.
 */
import type { Direction } from '../cluster/records.ts';
import type { FlowEnd } from './flow-end.ts';
import type { FlowProtocol, Judgement, Verdict } from './judgement.ts';

/** What was asked, by name, and each way that such a flow can take: to each backend of a Service, by IPv4 and by IPv6. */
export interface Answer {
  /** As in `endName`. */
  readonly from: string;
  /** As in `endName`, or `service/namespace/name`. */
  readonly to: string;
  readonly protocol: FlowProtocol;
  /** As the sender uses it: of a Service before its translation. NO_PORT (-1) for ICMP. */
  readonly port: number;
  /** `mixed` where it depends on the way. */
  readonly verdict: Verdict | 'mixed';
  /** At least one. */
  readonly ways: readonly Way[];
  /** A sentence about the other one, where a pod and a Service have the name of the destination: `to` says which is meant. */
  readonly note?: string;
}

/** Ways that differ in nothing but the pod they lead to are one. */
export interface Way extends Explanation {
  /** Further destinations, `namespace/name`, for which the same holds. */
  readonly alike: readonly string[];
}

export interface Explanation extends Judgement {
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  readonly protocol: FlowProtocol;
  /** Destination port as the policies see it, after the translation of Services. NO_PORT (-1) for ICMP. */
  readonly port: number;
  readonly sides: { readonly egress: Side; readonly ingress: Side };
  /** What else is worth knowing, a sentence each. */
  readonly notes: readonly string[];
  /** Where it is denied, or would be. */
  readonly suggestion?: Suggestion;
}

/** One direction, judged by itself. */
export interface Side {
  readonly direction: Direction;
  readonly verdict: Verdict;
  /** The node that enforces it; absent where that is not known, or nobody does. */
  readonly node?: string;
  /** Why, in one clause without a full stop: `no policy selects shop/web for egress`. */
  readonly summary: string;
  readonly isolated: boolean;
  /** Audited policies alone isolate: nothing is kept away. */
  readonly audited?: true;
  readonly isolatedBy: readonly PolicyPlace[];
  /** The rules that allow it. Empty where it is denied, and where it is allowed without any. */
  readonly allowedBy: readonly RulePlace[];
  /** Of a denied side: what nearly allows it, the nearest first. */
  readonly nearMisses: readonly NearMiss[];
}

export interface PolicyPlace {
  /** `namespace/name`. */
  readonly policy: string;
  /** Where it stands, if it came from a file. The line is the rule's where there is a rule. */
  readonly file?: string;
  /** From 1. */
  readonly line?: number;
}

export interface RulePlace extends PolicyPlace {
  /** From 1, among the rules of its direction. */
  readonly rule: number;
  /** `spec.ingress[0]`. */
  readonly field: string;
}

/** In what a rule, or a whole policy, differs from one that allows the flow. */
export type Difference =
  /** Labels of the pod at the other end. */
  | 'labels'
  | 'namespace-labels'
  /** Labels match, but without a namespaceSelector only pods of the policy's own namespace are meant. */
  | 'other-namespace'
  | 'except'
  | 'outside-cidr'
  /** A selector, and the other end is no pod, */
  | 'not-a-pod'
  /** or one that has its node's address. */
  | 'host-network'
  | 'port'
  | 'protocol'
  /** The destination has no port of that name, or another number for it. */
  | 'named-port'
  /** The policy does not select the pod that it is about. */
  | 'not-selected'
  /** The policy has such a rule, but `policyTypes` leaves the direction out. */
  | 'policy-types'
  /** The policy would allow it, and is audited only. */
  | 'audited'
  /** The policy has errors, so it isolates and allows nothing. */
  | 'broken-policy';

export interface NearMiss extends PolicyPlace {
  /** As in RulePlace; absent where it is about the whole policy. */
  readonly rule?: number;
  readonly field?: string;
  readonly differences: readonly Difference[];
  /** `policy shop/backend rule 1 would allow port 9000 from pods with app=frontend; stranger has app=stranger` */
  readonly sentence: string;
}

/** Policies to add; nothing that is there changes. */
export interface Suggestion {
  /** One or two NetworkPolicies, in YAML. */
  readonly yaml: string;
  /** What they open beyond this flow, because a policy cannot say less; a sentence each. */
  readonly notes: readonly string[];
}
