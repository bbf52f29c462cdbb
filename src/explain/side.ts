/** Explains one direction of a flow. */
import type { Direction, PodRecord } from '../cluster/records.ts';
import type { AttributedFlow, Attribution } from '../policy/attribution.ts';
import type { PolicyPlace, Side } from './explanation.ts';
import { endName, type FlowEnd } from './flow-end.ts';
import type { FlowProtocol, Judgement } from './judgement.ts';
import { nearMisses } from './near-misses.ts';
import type { PolicyPlaces } from './policy-places.ts';

export interface JudgedFlow {
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  readonly protocol: FlowProtocol;
  readonly flow: AttributedFlow;
  readonly judgement: Judgement;
  /** Whether an address is a placeholder. */
  isAssigned(address: string): boolean;
}

/** Whether no policy applies: a pod to itself, a pod and its node. */
export function isExempt({ reason }: Judgement): boolean {
  return reason === 'same-pod' || reason === 'local-node';
}

export function sideOf(attribution: Attribution, places: PolicyPlaces, judged: JudgedFlow, direction: Direction): Side {
  const { from, to, protocol, flow, judgement } = judged;
  const [end, peerEnd] = direction === 'egress' ? [from, to] : [to, from];
  const own = attribution.podAt(end.address);
  const verdict = judgement[direction];
  const isolating = attribution.isolating(end.address, direction);
  // All policies of a direction have the same mode, unless pods share the address.
  const audited = isolating.length > 0 && isolating.every((policy) => attribution.modeOf(policy) === 'audit');
  const allowing = isExempt(judgement) ? [] : attribution.allowingRules(flow, direction);
  const peer = {
    end: peerEnd,
    pod: attribution.podAt(peerEnd.address),
    isAssigned: judged.isAssigned(peerEnd.address),
  };
  return {
    direction,
    verdict,
    ...(own?.nodeName === undefined ? {} : { node: own.nodeName }),
    summary: summaryOf(direction, end, own, judgement, isolating.length, audited),
    isolated: isolating.length > 0,
    ...(audited ? { audited } : {}),
    isolatedBy: isolating.map((policy) => places.ofPolicy(policy)).sort(byPolicy),
    allowedBy: allowing.map(({ policy, rule }) => places.ofRule(policy, direction, rule)).sort(byPolicy),
    nearMisses:
      verdict === 'allow' || own === undefined
        ? []
        : nearMisses(attribution, places, { direction, protocol, flow, audited, own, peer }),
  };
}

/** Orders by policy; the rules of one policy keep their order. */
function byPolicy(a: PolicyPlace, b: PolicyPlace): number {
  return a.policy < b.policy ? -1 : a.policy > b.policy ? 1 : 0;
}

function summaryOf(
  direction: Direction,
  end: FlowEnd,
  own: PodRecord | undefined,
  { reason, [direction]: verdict }: Judgement,
  policies: number,
  audited: boolean,
): string {
  if (reason === 'same-pod') return 'a pod always reaches itself';
  if (reason === 'local-node') return 'a pod and the node that it runs on always reach each other';
  const name = endName(end);
  if (own === undefined) {
    return end.kind === 'address'
      ? `${name} is not a pod of the cluster: no policy governs what it ${direction === 'egress' ? 'sends' : 'receives'}`
      : `${name} uses the node's network, to which policies do not apply`;
  }
  if (policies === 0) return `no policy selects ${name} for ${direction}`;
  if (audited) {
    const judged = `${name} is selected by audited policies only`;
    return verdict === 'allow' ? `${judged}, and a rule allows it` : `${judged}: none of them allows it, but it passes`;
  }
  if (verdict === 'allow') return `${name} is isolated, and a rule allows it`;
  return policies === 1
    ? `${name} is isolated, and the policy does not allow it`
    : `${name} is isolated, and none of the policies allows it`;
}
