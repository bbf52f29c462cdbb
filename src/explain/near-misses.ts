/**
 * What almost allows a denied flow: rules and policies that differ from it by little, nearest
 * first.
 */
import { type Direction, type PodRecord, type PolicyRecord, type PolicyRule, recordKey } from '../cluster/records.ts';
import { matchesSelector } from '../cluster/selector.ts';
import type { AttributedFlow, Attribution } from '../policy/attribution.ts';
import { type Miss, type PeerEnd, peerMisses, portMiss, unmetKeys } from './differences.ts';
import type { Difference, NearMiss } from './explanation.ts';
import type { FlowProtocol } from './judgement.ts';
import type { PolicyPlaces } from './policy-places.ts';
import { flowPortText, labelsText, peerText, policyPortText, selectorText } from './words.ts';

/** A longer list would hide what matters. */
const MOST = 10;

export interface DeniedFlow {
  readonly direction: Direction;
  readonly protocol: FlowProtocol;
  readonly flow: AttributedFlow;
  /** Only audited policies deny it. */
  readonly audited: boolean;
  /** The pod whose policies deny the flow. */
  readonly own: PodRecord;
  readonly peer: PeerEnd;
}

/** A near miss, before it gets its sentence and place. */
interface Candidate {
  readonly policy: PolicyRecord;
  /** Index in `policy[direction]`; undefined if it concerns the whole policy. */
  readonly rule?: number;
  readonly differences: readonly Difference[];
  readonly distance: number;
  /** The rest of the sentence after `policy NAME rule N `. */
  readonly predicate: string;
}

const AUDITED = {
  differences: ['audited'],
  distance: 1,
  predicate: 'would allow it, but the policy is audited only: beside enforced policies it does not count',
} as const;

export function nearMisses(attribution: Attribution, places: PolicyPlaces, denied: DeniedFlow): readonly NearMiss[] {
  const candidates = [...attribution.policies(denied.own.namespace)].flatMap((policy) =>
    candidatesOf(attribution, policy, denied),
  );
  return candidates
    .sort((a, b) => a.distance - b.distance || compareKeys(a, b))
    .slice(0, MOST)
    .map(({ policy, rule, differences, predicate }) => {
      const key = recordKey(policy);
      const subject = rule === undefined ? `policy ${key}` : `policy ${key} rule ${rule + 1}`;
      const place = rule === undefined ? places.ofPolicy(policy) : places.ofRule(policy, denied.direction, rule);
      return { ...place, differences, sentence: `${subject} ${predicate}` };
    });
}

function compareKeys(a: Candidate, b: Candidate): number {
  const [left, right] = [recordKey(a.policy), recordKey(b.policy)];
  return left < right ? -1 : left > right ? 1 : (a.rule ?? 0) - (b.rule ?? 0);
}

function candidatesOf(attribution: Attribution, policy: PolicyRecord, denied: DeniedFlow): readonly Candidate[] {
  const { direction, own } = denied;
  const selects = matchesSelector(policy.podSelector, own.labels);
  const isolates = policy.isolates.includes(direction);
  if (selects && isolates && policy.error !== undefined) {
    const effect =
      attribution.modeOf(policy) === 'audit'
        ? 'would isolate its pods and allow nothing'
        : 'isolates its pods and allows nothing';
    const predicate = `has an error, so it ${effect}: ${policy.error}`;
    return [{ policy, differences: ['broken-policy'], distance: 0, predicate }];
  }
  const isAside = attribution.modeOf(policy) === 'audit' && !denied.audited;
  return policy[direction].flatMap((rule, index) => {
    const peers = rule.peers.filter(({ ipBlock }) => ipBlock === undefined || !denied.peer.isAssigned);
    if (peers.length === 0 && rule.peers.length > 0) return [];
    const misses = ruleMisses(attribution, policy, { ...rule, peers }, denied);
    if (selects && isolates && isAside) {
      return misses.length === 0 ? { policy, rule: index, ...AUDITED } : [];
    }
    if (selects && isolates) return { policy, rule: index, ...ruleCandidate(rule, misses, denied) };
    return misses.length === 0 ? { policy, rule: index, ...elsewhereCandidate(policy, selects, denied) } : [];
  });
}

/**
 * Returns the misses of the rule's nearest peer and nearest port; [] if the rule matches the flow.
 */
function ruleMisses(
  attribution: Attribution,
  { namespace }: PolicyRecord,
  { peers, ports }: PolicyRule,
  { protocol, flow, peer }: DeniedFlow,
): readonly (Miss & { readonly of: string })[] {
  const found: (Miss & { readonly of: string })[] = [];
  const byPeer = peers.map((each) => ({ each, misses: peerMisses(attribution, each, namespace, peer) }));
  const nearestPeer = least(byPeer, ({ misses }) => total(misses));
  for (const miss of nearestPeer?.misses ?? []) found.push({ ...miss, of: peerText(nearestPeer?.each ?? {}) });
  const byPort = ports.map((each) => ({ each, miss: portMiss(attribution, each, protocol, flow) }));
  const nearestPort = least(byPort, ({ miss }) => miss?.distance ?? 0);
  if (nearestPort?.miss !== undefined) found.push({ ...nearestPort.miss, of: policyPortText(nearestPort.each) });
  return found;
}

/** Says what the rule would allow near this flow, and what keeps it from allowing the flow. */
function ruleCandidate(
  { peers }: PolicyRule,
  misses: readonly (Miss & { readonly of: string })[],
  { direction, protocol, flow, peer }: DeniedFlow,
): Omit<Candidate, 'policy' | 'rule'> {
  const port = misses.find(({ difference }) => isPortDifference(difference))?.of ?? flowPortText(protocol, flow.port);
  const wanted = misses.find(({ difference }) => !isPortDifference(difference))?.of;
  const whom = wanted ?? (peers.length === 0 ? 'anyone' : nameOf(peer));
  const preposition = direction === 'ingress' ? 'from' : 'to';
  return {
    differences: misses.map(({ difference }) => difference),
    distance: total(misses),
    predicate: `would allow ${port} ${preposition} ${whom}; ${misses.map(({ text }) => text).join('; ')}`,
  };
}

/** A rule that allows this very flow, in a policy that does not apply to the pod. */
function elsewhereCandidate(
  policy: PolicyRecord,
  selects: boolean,
  { direction, own }: DeniedFlow,
): Omit<Candidate, 'policy' | 'rule'> {
  if (selects) {
    const type = direction === 'ingress' ? 'Ingress' : 'Egress';
    const predicate = `would allow it, but the policy's policyTypes have no ${type}: its ${direction} rules do not count`;
    return { differences: ['policy-types'], distance: 1, predicate };
  }
  const keys = unmetKeys(policy.podSelector, own.labels);
  const predicate = `would allow it, but the policy selects pods ${selectorText(policy.podSelector)}; ${own.name} has ${labelsText(own.labels, keys)}`;
  return { differences: ['not-selected'], distance: 1 + 2 * keys.length, predicate };
}

function isPortDifference(difference: Difference): boolean {
  return difference === 'port' || difference === 'protocol' || difference === 'named-port';
}

function nameOf({ end }: PeerEnd): string {
  return end.kind === 'address' ? end.address : end.name;
}

function total(misses: readonly Miss[]): number {
  return misses.reduce((sum, { distance }) => sum + distance, 0);
}

function least<T>(items: readonly T[], of: (item: T) => number): T | undefined {
  let best: T | undefined;
  for (const item of items) if (best === undefined || of(item) < of(best)) best = item;
  return best;
}
