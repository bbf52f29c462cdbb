/**
 * Finds the policies that decide a flow, from the records: slowly, for people and for counts only.
 * Verdicts come from the RuleTable. Follows the API reference of NetworkPolicySpec,
 * NetworkPolicyPeer and NetworkPolicyPort in networking.k8s.io/v1.
 */

import { ownersAmong } from '../cluster/address-owners.ts';
import { isMistake, isStrictlyInside, parseAddress, parseCidr } from '../cluster/addresses.ts';
import { deciding, modeOf } from '../cluster/mode.ts';
import {
  type Direction,
  type IpBlock,
  type NamespaceRecord,
  type PodRecord,
  type PolicyMode,
  type PolicyPeer,
  type PolicyPort,
  type PolicyRecord,
  recordKey,
} from '../cluster/records.ts';
import { matchesSelector } from '../cluster/selector.ts';
import type { ClusterChange } from '../cluster/store.ts';

export interface AttributedFlow {
  /** Addresses in canonical text. */
  readonly source: string;
  readonly destination: string;
  /** IANA number. */
  readonly protocol: number;
  /** -1 where the protocol has none. */
  readonly port: number;
}

/** A rule of a policy: `policy[direction][rule]`. */
export interface PolicyRuleReference {
  readonly policy: PolicyRecord;
  readonly rule: number;
}

const PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

export class Attribution {
  readonly #namespaces = new Map<string, NamespaceRecord>();
  readonly #pods = new Map<string, PodRecord>();
  /** By address: the keys of the pods whose records have it; see cluster/address-owners.ts. */
  readonly #owners = new Map<string, string | readonly string[]>();
  /** By namespace, then by key. */
  readonly #policies = new Map<string, Map<string, PolicyRecord>>();
  readonly #mode: PolicyMode;

  /** @param mode as in CompilerOptions */
  constructor(mode: PolicyMode = 'enforce') {
    this.#mode = mode;
  }

  apply(changes: readonly ClusterChange[]): void {
    for (const { type, record } of changes) {
      const key = recordKey(record);
      if (record.kind === 'Namespace') {
        if (type === 'set') this.#namespaces.set(key, record);
        else this.#namespaces.delete(key);
      } else if (record.kind === 'Pod') {
        this.#setPod(key, type === 'set' ? record : undefined);
      } else {
        const policies = this.#policies.get(record.namespace) ?? new Map<string, PolicyRecord>();
        this.#policies.set(record.namespace, policies);
        if (type === 'set') policies.set(key, record);
        else policies.delete(key);
      }
    }
  }

  /**
   * Returns the policies that isolate the pod with this address: the enforced ones or, if there are
   * none, the audited ones. [] if there is no such pod.
   */
  isolating(address: string, direction: Direction): readonly PolicyRecord[] {
    const isolating = this.podsAt(address).flatMap((pod) => {
      const selecting = [...this.policies(pod.namespace)].filter(
        ({ isolates, podSelector }) => isolates.includes(direction) && matchesSelector(podSelector, pod.labels),
      );
      return deciding(selecting, (policy) => this.modeOf(policy));
    });
    return [...new Set(isolating)];
  }

  /** Returns whether the policy is enforced or audited. */
  modeOf(policy: PolicyRecord): PolicyMode {
    return this.#mode === 'audit' ? 'audit' : modeOf(policy, this.#namespaces.get(policy.namespace));
  }

  /**
   * Returns the isolating policies that allow the flow in that direction. If several pods share an
   * address, they allow it for each of those pods.
   */
  allowing(flow: AttributedFlow, direction: Direction): readonly PolicyRecord[] {
    return [...new Set(this.allowingRules(flow, direction).map(({ policy }) => policy))];
  }

  /** Returns the rules of the isolating policies that allow the flow in that direction. */
  allowingRules(flow: AttributedFlow, direction: Direction): readonly PolicyRuleReference[] {
    const own = direction === 'egress' ? flow.source : flow.destination;
    const possible = this.#possibleEnds(flow);
    return this.isolating(own, direction)
      .filter(({ error }) => error === undefined)
      .flatMap((policy) => {
        const rules = possible
          .filter((ends) => selects(policy, direction === 'egress' ? ends.source : ends.destination))
          .map((ends) => this.#rulesFor(policy, flow, direction, ends));
        // A policy allows the flow only if it allows every case.
        if (rules.some((each) => each.length === 0)) return [];
        return [...new Set(rules.flat())].sort((a, b) => a - b).map((rule) => ({ policy, rule }));
      });
  }

  /**
   * Returns the pods that the flow's ends may be: one case, unless several pods share an end's
   * address.
   */
  #possibleEnds({ source, destination }: AttributedFlow): readonly FlowPods[] {
    const sources = orNone(this.podsAt(source));
    const destinations = orNone(this.podsAt(destination));
    return sources.flatMap((from) =>
      destinations
        .filter((to) => source !== destination || from === to)
        .map((to) => ({ source: from, destination: to })),
    );
  }

  /** Returns the indexes of the rules that allow it. */
  #rulesFor(policy: PolicyRecord, flow: AttributedFlow, direction: Direction, ends: FlowPods): readonly number[] {
    const [address, peer] = direction === 'egress' ? [flow.destination, ends.destination] : [flow.source, ends.source];
    return policy[direction].flatMap(({ peers, ports }, rule) =>
      (peers.length === 0 || peers.some((each) => this.#isPeer(each, policy.namespace, address, peer))) &&
      (ports.length === 0 || ports.some((port) => isPort(port, flow, ends.destination)))
        ? [rule]
        : [],
    );
  }

  /**
   * Returns the pod that owns the address, or the first of those that share it; undefined for every
   * other address.
   */
  podAt(address: string): PodRecord | undefined {
    return this.podsAt(address)[0];
  }

  /** Returns all pods that share the address, by name; one if it has an owner. */
  podsAt(address: string): readonly PodRecord[] {
    const claimants = this.#ownersOf(address).flatMap((key) => this.#pods.get(key) ?? []);
    if (claimants.length < 2) return claimants;
    return [...ownersAmong(claimants)].sort((a, b) => (recordKey(a) < recordKey(b) ? -1 : 1));
  }

  namespace(name: string): NamespaceRecord | undefined {
    return this.#namespaces.get(name);
  }

  /** The policies of a namespace. */
  policies(namespace: string): Iterable<PolicyRecord> {
    return this.#policies.get(namespace)?.values() ?? [];
  }

  /** Whether the address is such a peer of a policy in `namespace`, for each pod that shares it. */
  isPeer(peer: PolicyPeer, namespace: string, address: string): boolean {
    return orNone(this.podsAt(address)).every((pod) => this.#isPeer(peer, namespace, address, pod));
  }

  isPort(port: PolicyPort, flow: AttributedFlow): boolean {
    return orNone(this.podsAt(flow.destination)).every((pod) => isPort(port, flow, pod));
  }

  #isPeer(
    { ipBlock, namespaceSelector, podSelector }: PolicyPeer,
    namespace: string,
    address: string,
    pod: PodRecord | undefined,
  ): boolean {
    if (ipBlock !== undefined) return isInBlock(ipBlock, address);
    if (pod === undefined || (podSelector !== undefined && !matchesSelector(podSelector, pod.labels))) return false;
    if (namespaceSelector === undefined) return pod.namespace === namespace;
    const record = this.#namespaces.get(pod.namespace);
    return record !== undefined && matchesSelector(namespaceSelector, record.labels);
  }

  #ownersOf(address: string): readonly string[] {
    const owners = this.#owners.get(address) ?? [];
    return typeof owners === 'string' ? [owners] : owners;
  }

  #setPod(key: string, record: PodRecord | undefined): void {
    const before = this.#pods.get(key)?.addresses ?? [];
    const after = record === undefined || record.hostNetwork ? [] : record.addresses;
    for (const address of before) {
      if (after.includes(address)) continue;
      const left = this.#ownersOf(address).filter((owner) => owner !== key);
      if (left.length > 0) this.#owners.set(address, left);
      else this.#owners.delete(address);
    }
    for (const address of after) {
      if (before.includes(address)) continue;
      const owners = this.#ownersOf(address);
      this.#owners.set(address, owners.length === 0 ? key : [...owners, key]);
    }
    if (record === undefined || record.hostNetwork) this.#pods.delete(key);
    else this.#pods.set(key, record);
  }
}

/** The pods at a flow's ends. */
interface FlowPods {
  readonly source: PodRecord | undefined;
  readonly destination: PodRecord | undefined;
}

/** Returns `[undefined]` if there are no pods. */
function orNone(pods: readonly PodRecord[]): readonly (PodRecord | undefined)[] {
  return pods.length === 0 ? [undefined] : pods;
}

function selects({ namespace, podSelector }: PolicyRecord, pod: PodRecord | undefined): boolean {
  return pod?.namespace === namespace && matchesSelector(podSelector, pod.labels);
}

function isPort(
  { protocol, port, endPort }: PolicyPort,
  flow: AttributedFlow,
  destination: PodRecord | undefined,
): boolean {
  if (PROTOCOLS[protocol] !== flow.protocol) return false;
  if (port === undefined) return true;
  if (typeof port === 'number') return flow.port >= port && flow.port <= (endPort ?? port);
  const ports = destination?.ports ?? [];
  return ports.some((each) => each.name === port && each.protocol === protocol && each.port === flow.port);
}

function isInBlock({ cidr, except }: IpBlock, address: string): boolean {
  return isInCidr(address, cidr) && !except.some((hole) => isInCidr(address, hole));
}

/** Whether an address lies in a block; false if either text is invalid. */
export function isInCidr(address: string, cidr: string): boolean {
  const parsed = parseAddress(address);
  const block = parseCidr(cidr);
  if (parsed === undefined || isMistake(block)) return false;
  // Longer than any prefix, so that the address lies strictly inside even a block of one address.
  return isStrictlyInside({ family: parsed.family, first: parsed.value, prefix: 129 }, block);
}
