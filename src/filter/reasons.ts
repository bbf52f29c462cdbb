/**
 * Why a packet was allowed or denied. A reason is a small integer, so that the packet path returns and counts it without allocating;
 * its name is what people, logs and metrics see. Every reason implies its verdict: `reason < FIRST_DENY` allows. What audited policies alone deny has the reason that it
 * would be denied for, and passes: `Filter.isAudited`.
 */
export const REASONS = [
  /** Neither pod of this node is isolated for its direction. */
  'not-isolated',
  /** A policy allows it in every direction that is enforced here. */
  'allowed-by-policy',
  /** A pod to itself. */
  'same-pod',
  /** Between a pod and the node that it runs on. */
  'local-node',
  /** A packet of a flow that was allowed before, either way. */
  'established',
  /** An ICMP error that quotes a packet of an allowed flow. */
  'related',
  /** IPv6 neighbour discovery. */
  'neighbour-discovery',
  /** Mid-stream while flows older than the agent are adopted; one of the directions would be allowed. */
  'adopted',
  /** The source pod's egress policies do not allow it. */
  'egress-denied',
  /** The destination pod's ingress policies do not allow it. */
  'ingress-denied',
  /** A TCP packet without SYN that belongs to no known flow. */
  'mid-stream',
  /** A flow that was allowed once and that the policies now deny. */
  'revoked',
  /** A fragment without the ports that the policies ask for. */
  'fragment',
  /** Headers that cannot be decoded. */
  'malformed',
] as const;

export type ReasonName = (typeof REASONS)[number];

function code(name: ReasonName): number {
  return REASONS.indexOf(name);
}

export const NOT_ISOLATED = code('not-isolated');
export const ALLOWED_BY_POLICY = code('allowed-by-policy');
export const SAME_POD = code('same-pod');
export const LOCAL_NODE = code('local-node');
export const ESTABLISHED = code('established');
export const RELATED = code('related');
export const NEIGHBOUR_DISCOVERY = code('neighbour-discovery');
export const ADOPTED = code('adopted');
export const EGRESS_DENIED = code('egress-denied');
export const INGRESS_DENIED = code('ingress-denied');
export const MID_STREAM = code('mid-stream');
export const REVOKED = code('revoked');
export const FRAGMENT = code('fragment');
export const MALFORMED = code('malformed');

/** The first reason that denies; all below allow. */
export const FIRST_DENY = EGRESS_DENIED;

/** Is it the first packet of a flow, or one that is denied? Of what belongs to an open flow, or never is a matter of policies, nobody is told. */
export function opensOrIsDenied(reason: number): boolean {
  switch (reason) {
    case NOT_ISOLATED:
    case ALLOWED_BY_POLICY:
    case ADOPTED:
    case EGRESS_DENIED:
    case INGRESS_DENIED:
    case MID_STREAM:
    case REVOKED:
    case FRAGMENT:
      return true;
    default:
      return false;
  }
}
