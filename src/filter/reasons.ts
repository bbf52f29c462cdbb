/**
 * Why a packet was allowed or denied. A reason is a small integer, so that the packet path returns
 * and counts it without allocating; people, logs and metrics see its name. A reason implies the
 * verdict: `reason < FIRST_DENY` allows. A packet that only audited policies deny has the reason of
 * that denial, and passes: `Filter.isAudited`.
 */
export const REASONS = [
  /** No policy isolates the source for egress or the destination for ingress on this node. */
  'not-isolated',
  /** A policy allows it in every direction that is enforced here. */
  'allowed-by-policy',
  /** A pod to itself. */
  'same-pod',
  /** Between a pod and the node that it runs on. */
  'local-node',
  /** Belongs, in either direction, to a flow that was allowed before. */
  'established',
  /** An ICMP error that quotes a packet of an allowed flow. */
  'related',
  /** IPv6 neighbour discovery. */
  'neighbour-discovery',
  /**
   * Belongs to a flow that began before it could be judged (adoption.ts); one direction would be
   * allowed.
   */
  'adopted',
  /** The source pod's egress policies do not allow it. */
  'egress-denied',
  /** The destination pod's ingress policies do not allow it. */
  'ingress-denied',
  /**
   * Belongs to no known flow and cannot open one: TCP other than a SYN, SCTP other than an INIT, an
   * ICMP reply.
   */
  'mid-stream',
  /** Belongs to a flow that was allowed once and that the policies now deny. */
  'revoked',
  /** A fragment without the ports that the policies compare. */
  'fragment',
  /** Its headers cannot be decoded. */
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

/** The first reason that denies; all lower ones allow. */
export const FIRST_DENY = EGRESS_DENIED;

/**
 * Whether to report the packet: it opens a flow, or a policy denies it. Packets of open flows, and
 * those that policies never decide, are not reported.
 */
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
