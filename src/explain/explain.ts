/** Explains flows: the verdict of the compiled tables, and the policies and rules behind it. */
import { familyOf } from '../cluster/addresses.ts';
import { DIRECTIONS, type Direction, recordKey } from '../cluster/records.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { type AttributedFlow, Attribution } from '../policy/attribution.ts';
import { asCompiled } from '../policy/refused-policies.ts';
import { type AssignedAddresses, assignedAddressNote, NONE_ASSIGNED } from './assigned-addresses.ts';
import { ClusterJudge, type JudgeOptions } from './cluster-judge.ts';
import { Ends } from './ends.ts';
import type { Answer, Explanation, Side, Suggestion, Way } from './explanation.ts';
import { endName, type FlowEnd } from './flow-end.ts';
import { type FlowProtocol, type Judgement, protocolNumber } from './judgement.ts';
import { nameServerNote } from './name-servers.ts';
import { lastingLabels } from './pod-selection.ts';
import { type Locate, PolicyPlaces } from './policy-places.ts';
import { type PortQuery, parsePort } from './port-query.ts';
import { isExempt, sideOf } from './side.ts';
import { type SuggestedEnd, suggestionOf } from './suggestion.ts';
import { waysOf } from './ways.ts';

export interface ExplainerOptions extends JudgeOptions {
  readonly snapshot: ClusterSnapshot;
  /** Services that `answer` resolves names to. @default none */
  readonly services?: readonly ServiceRecord[];
  /** File and line of policies. @default unknown */
  readonly locate?: Locate;
  /** Placeholder addresses of pods. @default none */
  readonly assigned?: AssignedAddresses;
}

const REPLIES = 'Replies pass by connection tracking and need no rule of their own.';
const BEHIND = 'The node still enforces the state before the latest change, which is not in force yet.';

export class Explainer {
  readonly #snapshot: ClusterSnapshot;
  readonly #judge: ClusterJudge;
  readonly #attribution: Attribution;
  readonly #ends: Ends;
  readonly #places: PolicyPlaces;
  readonly #assigned: AssignedAddresses;
  /** Whether every policy is audited, whatever its annotation says. */
  readonly #auditsAll: boolean;

  constructor({ services = [], locate, assigned = NONE_ASSIGNED, ...options }: ExplainerOptions) {
    const snapshot = asCompiled(options.snapshot);
    const { namespaces, pods, policies } = snapshot;
    this.#snapshot = snapshot;
    this.#judge = new ClusterJudge(snapshot, options);
    this.#attribution = new Attribution(options.mode);
    this.#attribution.apply([...namespaces, ...pods, ...policies].map((record) => ({ type: 'set', record })));
    this.#ends = new Ends(snapshot, services, options.nodes);
    this.#places = new PolicyPlaces(locate);
    this.#assigned = assigned;
    this.#auditsAll = options.mode === 'audit';
  }

  /**
   * Explains every way that a flow can take between two named ends (see Ends.named).
   * @param port `5432`, `5432/tcp`, `http`, `icmp`
   * @throws FlowError for names and ports that do not exist
   */
  answer(from: string, to: string, port: string | PortQuery): Answer {
    const { ways, ...asked } = waysOf(this.#ends, from, to, typeof port === 'string' ? parsePort(port) : port);
    const explained = this.#withoutRepeats(ways.map((way) => this.explain(way.from, way.to, asked.protocol, way.port)));
    const verdicts = new Set(explained.map(({ verdict }) => verdict));
    const [verdict = 'deny'] = verdicts;
    return { ...asked, verdict: verdicts.size > 1 ? 'mixed' : verdict, ways: explained };
  }

  /**
   * @param port destination port as the policies see it, NO_PORT for ICMP
   * @throws RangeError as `ClusterJudge.judge` does
   */
  explain(source: FlowEnd, destination: FlowEnd, protocol: FlowProtocol, port: number): Explanation {
    const from = source.kind === 'address' ? this.#ends.at(source.address) : source;
    const to = destination.kind === 'address' ? this.#ends.at(destination.address) : destination;
    const judgement = this.#judge.judge(from, to, protocol, port);
    const flow: AttributedFlow = {
      source: from.address,
      destination: to.address,
      protocol: protocolNumber(protocol, familyOf(from.address) === 'IPv6'),
      port,
    };
    const isAssigned = (address: string) => this.#assigned.addresses.has(address);
    const side = (direction: Direction) =>
      sideOf(this.#attribution, this.#places, { from, to, protocol, flow, judgement, isAssigned }, direction);
    const sides = { egress: side('egress'), ingress: side('ingress') };
    const suggestion = this.#suggestion(from, to, protocol, port, judgement);
    return {
      ...judgement,
      ...{ from, to, protocol, port, sides },
      notes: [
        ...[from, to].flatMap((end) => this.#ownerNote(end) ?? []),
        ...this.#notes(from, to, judgement, sides),
        ...this.#assignedNotes(from, to, judgement, flow),
      ],
      ...(suggestion === undefined ? {} : { suggestion }),
    };
  }

  #suggestion(
    from: FlowEnd,
    to: FlowEnd,
    protocol: FlowProtocol,
    port: number,
    judgement: Judgement,
  ): Suggestion | undefined {
    if (judgement.verdict === 'allow') return undefined;
    const { policies } = this.#snapshot;
    return suggestionOf({
      // If one direction is denied, suggest nothing for a direction that is only audited.
      directions: DIRECTIONS.filter((direction) => judgement[direction] === judgement.verdict),
      mode: this.#auditsAll ? undefined : judgement.verdict === 'deny' ? 'enforce' : 'audit',
      source: this.#suggestedEnd(from),
      destination: this.#suggestedEnd(to),
      protocol,
      port,
      isTaken: (key) => policies.some((policy) => recordKey(policy) === key),
    });
  }

  #suggestedEnd(end: FlowEnd): SuggestedEnd {
    const pod = this.#attribution.podAt(end.address);
    const isAssigned = this.#assigned.addresses.has(end.address);
    if (pod === undefined) return { end, pod, neighbours: [], namespace: undefined, isAssigned };
    const neighbours = this.#snapshot.pods.filter(
      ({ namespace, hostNetwork }) => namespace === pod.namespace && !hostNetwork,
    );
    return { end, pod, neighbours, namespace: this.#attribution.namespace(pod.namespace), isAssigned };
  }

  /** Returns a note if other pods have the end's address too. */
  #ownerNote(end: FlowEnd): string | undefined {
    if (end.kind !== 'pod') return undefined;
    const owners = this.#attribution.podsAt(end.address).map(recordKey);
    // The address of a host-network pod belongs to no pod.
    if (owners.length === 0) return undefined;
    if (!owners.includes(endName(end)))
      return `${end.address} belongs to ${owners.join(' and ')} now: the record of ${endName(end)} is older, or that pod is not ready, being deleted or on a lost node. Packets with this address are judged as ${owners.length > 1 ? 'theirs' : 'its'}.`;
    if (owners.length === 1) return undefined;
    return `${owners.join(' and ')} share the address ${end.address}, and nothing tells their packets apart: what is denied to one is denied to all.`;
  }

  #notes(from: FlowEnd, to: FlowEnd, judgement: Judgement, sides: Explanation['sides']): readonly string[] {
    const notes: string[] = [];
    // Pods that share an address may be allowed different things.
    const isShared = [from, to].some(({ address }) => this.#attribution.podsAt(address).length > 1);
    if (!isShared && !isExempt(judgement) && DIRECTIONS.some((direction) => differs(sides[direction])))
      notes.push(this.#closedBlocksNote(sides) ?? BEHIND);
    if (judgement.verdict === 'allow' && !isExempt(judgement) && this.#answersAreIsolated(from, to))
      notes.push(REPLIES);
    const names = nameServerNote(this.#attribution, this.#judge, this.#snapshot.pods, from);
    return names === undefined ? notes : [...notes, names];
  }

  /** Returns a note if rules would allow the flow by ipBlocks that do not fit into the table. */
  #closedBlocksNote(sides: Explanation['sides']): string | undefined {
    const denied = DIRECTIONS.map((direction) => sides[direction]).filter(({ verdict }) => verdict !== 'allow');
    const policies = new Set(denied.flatMap(({ allowedBy }) => allowedBy.map(({ policy }) => policy)));
    if (policies.size === 0) return undefined;
    const closed = this.#judge.closedBlocks();
    const [first, ...others] = [...policies].filter((policy) => closed.has(policy));
    if (first === undefined) return undefined;
    const note = `Policy ${first}: ${closed.get(first)}.`;
    return others.length === 0 ? note : `${note} The same holds for ${others.join(', ')}.`;
  }

  #assignedNotes(from: FlowEnd, to: FlowEnd, judgement: Judgement, flow: AttributedFlow): readonly string[] {
    if (isExempt(judgement)) return [];
    return DIRECTIONS.flatMap(
      (direction) =>
        assignedAddressNote(
          this.#attribution,
          this.#assigned,
          flow,
          direction,
          direction === 'egress' ? [from, to] : [to, from],
        ) ?? [],
    );
  }

  #answersAreIsolated(from: FlowEnd, to: FlowEnd): boolean {
    const isIsolated = ({ address }: FlowEnd, direction: Direction) =>
      this.#attribution.isolating(address, direction).length > 0;
    return isIsolated(to, 'egress') || isIsolated(from, 'ingress');
  }

  /** Merges ways that differ only in the backend or the address family into the first of them. */
  #withoutRepeats(explanations: readonly Explanation[]): readonly Way[] {
    const groups = Map.groupBy(explanations, (explanation) => this.#likeness(explanation));
    return [...groups.values()].flatMap((group) => {
      const [first, ...others] = group;
      if (first === undefined) return [];
      const names = others.map(({ to }) => endName(to)).filter((name) => name !== endName(first.to));
      return { ...first, alike: [...new Set(names)] };
    });
  }

  #likeness({ to, port, egress, ingress, sides }: Explanation): string {
    const pod = this.#attribution.podAt(to.address);
    const what = pod === undefined ? endName(to) : [pod.namespace, Object.entries(lastingLabels(pod.labels)).sort()];
    const rules = DIRECTIONS.map((direction) => [sides[direction].isolatedBy, sides[direction].allowedBy]);
    return JSON.stringify([what, port, egress, ingress, rules]);
  }
}

/** Whether the records contradict the verdict of the table in force. */
function differs({ verdict, isolated, allowedBy }: Side): boolean {
  return verdict !== 'allow' ? !isolated || allowedBy.length > 0 : isolated && allowedBy.length === 0;
}
