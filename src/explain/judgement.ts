/** The verdict on a flow, without reasons. */
import type { Protocol } from '../cluster/records.ts';
import type { ReasonName } from '../filter/reasons.ts';
import type { EnforcedVerdict, Verdict } from '../filter/verdict.ts';
import { ICMP, ICMPV6, SCTP, TCP, UDP } from '../packet/protocols.ts';

export type { EnforcedVerdict, Verdict };

/** A transport protocol, or ICMP, which is ICMPv6 between IPv6 addresses and has no ports. */
export type FlowProtocol = Protocol | 'ICMP';

export const FLOW_PROTOCOLS: readonly FlowProtocol[] = ['TCP', 'UDP', 'SCTP', 'ICMP'];

/** The port of an ICMP flow. */
export const NO_PORT = -1;

export interface Judgement {
  /**
   * What the source pod's policies say, enforced on its node. `allow` if no policy can select the
   * source.
   */
  readonly egress: Verdict;
  /** What the destination pod's policies say, enforced on its node. */
  readonly ingress: Verdict;
  /** `allow` if both sides allow; `would_deny` if only audited policies deny. */
  readonly verdict: Verdict;
  /** The filter's reason; that of egress if both sides deny, or both would. */
  readonly reason: ReasonName;
}

export interface EnforcedJudgement extends Judgement {
  readonly verdict: EnforcedVerdict;
}

/** Returns the judgement as enforced: what only audited policies deny is allowed. */
export function enforced({ egress, ingress, verdict, reason }: Judgement): EnforcedJudgement {
  const allowed = (each: Verdict) => (each === 'would_deny' ? 'allow' : each);
  return {
    egress: allowed(egress),
    ingress: allowed(ingress),
    verdict: allowed(verdict),
    reason: verdict === 'would_deny' ? 'allowed-by-policy' : reason,
  };
}

/** IANA number. */
export function protocolNumber(protocol: FlowProtocol, isIpv6: boolean): number {
  switch (protocol) {
    case 'TCP':
      return TCP;
    case 'UDP':
      return UDP;
    case 'SCTP':
      return SCTP;
    case 'ICMP':
      return isIpv6 ? ICMPV6 : ICMP;
  }
}
