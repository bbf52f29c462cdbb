/** What is said about a flow, without reasons. */
import type { Protocol } from '../cluster/records.ts';
import type { ReasonName } from '../filter/reasons.ts';
import type { EnforcedVerdict, Verdict } from '../filter/verdict.ts';
import { ICMP, ICMPV6, SCTP, TCP, UDP } from '../packet/protocols.ts';

export type { EnforcedVerdict, Verdict };

/** A transport protocol, or ICMP, which is ICMPv6 between IPv6 addresses and has no ports. */
export type FlowProtocol = Protocol | 'ICMP';

export const FLOW_PROTOCOLS: readonly FlowProtocol[] = ['TCP', 'UDP', 'SCTP', 'ICMP'];

/** The port of a flow of ICMP. */
export const NO_PORT = -1;

export interface Judgement {
  /** What the source pod's policies say, enforced on its node. `allow` where the source is no pod that policies can select. */
  readonly egress: Verdict;
  /** What the destination pod's policies say, enforced on its node. */
  readonly ingress: Verdict;
  /** `allow` where both sides allow; `would_deny` where one does not that is audited, and the other one lets it pass. */
  readonly verdict: Verdict;
  /** The filter's: that of egress where both sides deny, or both would. */
  readonly reason: ReasonName;
}

export interface EnforcedJudgement extends Judgement {
  readonly verdict: EnforcedVerdict;
}

/** As it is while audited policies are no more than audited: what they would deny is allowed. */
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
