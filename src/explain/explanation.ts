/**
 * The answer about a flow, with reasons. Plain JSON: `podfence explain --json` prints an Answer,
 * the agent's /explain returns one, and the matrix page shows the Explanation of a cell. A field
 * that does not apply is absent.
 */
import type { Direction } from '../cluster/records.ts';
import type { FlowEnd } from './flow-end.ts';
import type { FlowProtocol, Judgement, Verdict } from './judgement.ts';

/**
 * A question by name, and each way that such a flow can take: to each backend of a Service, over
 * IPv4 and IPv6.
 */
export interface Answer {
  /** As in `endName`. */
  readonly from: string;
  /** As in `endName`, or `service/namespace/name`. */
  readonly to: string;
  readonly protocol: FlowProtocol;
  /** As the sender uses it: before Service translation. NO_PORT (-1) for ICMP. */
  readonly port: number;
  /** `mixed` if the ways have different verdicts. */
  readonly verdict: Verdict | 'mixed';
  /** At least one. */
  readonly ways: readonly Way[];
  /**
   * If a pod and a Service share the destination's name: a sentence about the one that `to` does
   * not mean.
   */
  readonly note?: string;
}

/** One or several ways that differ only in the destination pod. */
export interface Way extends Explanation {
  /** Further destinations, `namespace/name`, with the same explanation. */
  readonly alike: readonly string[];
}

export interface Explanation extends Judgement {
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  readonly protocol: FlowProtocol;
  /** Destination port as policies see it: after Service translation. NO_PORT (-1) for ICMP. */
  readonly port: number;
  readonly sides: { readonly egress: Side; readonly ingress: Side };
  /** Anything else worth knowing, a sentence each. */
  readonly notes: readonly string[];
  /** Present if the flow is denied, or would be. */
  readonly suggestion?: Suggestion;
}

/** One direction, judged separately. */
export interface Side {
  readonly direction: Direction;
  readonly verdict: Verdict;
  /** The node that enforces it; absent if the node is not known, or none enforces it. */
  readonly node?: string;
  /** Why, in one clause without a full stop: `no policy selects shop/web for egress`. */
  readonly summary: string;
  readonly isolated: boolean;
  /** Only audited policies isolate: nothing is dropped. */
  readonly audited?: true;
  readonly isolatedBy: readonly PolicyPlace[];
  /** The rules that allow the flow. Empty if it is denied, or passes without a rule. */
  readonly allowedBy: readonly RulePlace[];
  /** For a denied side: what almost allows the flow, nearest first. */
  readonly nearMisses: readonly NearMiss[];
}

export interface PolicyPlace {
  /** `namespace/name`. */
  readonly policy: string;
  /** The file that the policy came from, if any. The line is the rule's if there is a rule. */
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

/** How a rule, or a whole policy, differs from one that allows the flow. */
export type Difference =
  /** Labels of the pod at the other end. */
  | 'labels'
  | 'namespace-labels'
  /**
   * The labels match, but a peer without a namespaceSelector selects only the policy's namespace.
   */
  | 'other-namespace'
  | 'except'
  | 'outside-cidr'
  /** The peer is a selector, and the other end is not a pod. */
  | 'not-a-pod'
  /** The other end is a pod that uses its node's network. */
  | 'host-network'
  | 'port'
  | 'protocol'
  /** The destination has no port of that name, or another number for it. */
  | 'named-port'
  /** The policy does not select the pod whose direction is denied. */
  | 'not-selected'
  /** The policy has a matching rule, but its `policyTypes` omit the direction. */
  | 'policy-types'
  /** The policy would allow the flow, but is only audited. */
  | 'audited'
  /** The policy has errors, so it isolates and allows nothing. */
  | 'broken-policy';

export interface NearMiss extends PolicyPlace {
  /** As in RulePlace; absent if the near miss concerns the whole policy. */
  readonly rule?: number;
  readonly field?: string;
  readonly differences: readonly Difference[];
  /**
   * `policy shop/backend rule 1 would allow port 9000 from pods with app=frontend; stranger has
   * app=stranger`
   */
  readonly sentence: string;
}

/** Policies to add. Existing ones stay unchanged. */
export interface Suggestion {
  /** One or two NetworkPolicies, in YAML. */
  readonly yaml: string;
  /** What they open beyond this flow, because a policy cannot be narrower; a sentence each. */
  readonly notes: readonly string[];
}
