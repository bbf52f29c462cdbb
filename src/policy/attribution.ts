/**
 * To which policies a flow is due, found out from the records: slowly, and only for people and for counts. Verdicts come from the RuleTable.
 * The sentences of the API reference that this follows: NetworkPolicySpec, NetworkPolicyPeer and NetworkPolicyPort of networking.k8s.io/v1.
 */
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
  /** By address the keys of the pods that have it, the one that got it last at the end: that is whose it is. */
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

  /** The policies that isolate the pod with this address: enforced ones, or where there are none the audited ones. [] where there is no such pod. */
  isolating(address: string, direction: Direction): readonly PolicyRecord[] {
    const pod = this.podAt(address);
    if (pod === undefined) return [];
    const selecting = [...this.policies(pod.namespace)].filter(
      ({ isolates, podSelector }) => isolates.includes(direction) && matchesSelector(podSelector, pod.labels),
    );
    return deciding(selecting, (policy) => this.modeOf(policy));
  }

  /** Is it enforced, or audited? */
  modeOf(policy: PolicyRecord): PolicyMode {
    return this.#mode === 'audit' ? 'audit' : modeOf(policy, this.#namespaces.get(policy.namespace));
  }

  /** Those of them that allow the flow in that direction. */
  allowing(flow: AttributedFlow, direction: Direction): readonly PolicyRecord[] {
    return [...new Set(this.allowingRules(flow, direction).map(({ policy }) => policy))];
  }

  /** The rules of them that allow the flow in that direction. */
  allowingRules(flow: AttributedFlow, direction: Direction): readonly PolicyRuleReference[] {
    const [own, peer] = direction === 'egress' ? [flow.source, flow.destination] : [flow.destination, flow.source];
    return this.isolating(own, direction)
      .filter(({ error }) => error === undefined)
      .flatMap((policy) =>
        policy[direction].flatMap(({ peers, ports }, rule) =>
          (peers.length === 0 || peers.some((each) => this.isPeer(each, policy.namespace, peer))) &&
          (ports.length === 0 || ports.some((port) => this.isPort(port, flow)))
            ? { policy, rule }
            : [],
        ),
      );
  }

  /** The pod that has the address in a network of its own; undefined for every other address. */
  podAt(address: string): PodRecord | undefined {
    const owners = this.#owners.get(address);
    return this.#pods.get((typeof owners === 'string' ? owners : owners?.at(-1)) ?? '');
  }

  namespace(name: string): NamespaceRecord | undefined {
    return this.#namespaces.get(name);
  }

  /** The policies of a namespace. */
  policies(namespace: string): Iterable<PolicyRecord> {
    return this.#policies.get(namespace)?.values() ?? [];
  }

  /** Whether the address is such a peer of a policy in `namespace`. */
  isPeer({ ipBlock, namespaceSelector, podSelector }: PolicyPeer, namespace: string, address: string): boolean {
    if (ipBlock !== undefined) return isInBlock(ipBlock, address);
    const pod = this.podAt(address);
    if (pod === undefined || (podSelector !== undefined && !matchesSelector(podSelector, pod.labels))) return false;
    if (namespaceSelector === undefined) return pod.namespace === namespace;
    const record = this.#namespaces.get(pod.namespace);
    return record !== undefined && matchesSelector(namespaceSelector, record.labels);
  }

  isPort({ protocol, port, endPort }: PolicyPort, flow: AttributedFlow): boolean {
    if (PROTOCOLS[protocol] !== flow.protocol) return false;
    if (port === undefined) return true;
    if (typeof port === 'number') return flow.port >= port && flow.port <= (endPort ?? port);
    const ports = this.podAt(flow.destination)?.ports ?? [];
    return ports.some((each) => each.name === port && each.protocol === protocol && each.port === flow.port);
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

function isInBlock({ cidr, except }: IpBlock, address: string): boolean {
  return isInCidr(address, cidr) && !except.some((hole) => isInCidr(address, hole));
}

/** Whether an address lies in a block; false where either text is none. */
export function isInCidr(address: string, cidr: string): boolean {
  const parsed = parseAddress(address);
  const block = parseCidr(cidr);
  if (parsed === undefined || isMistake(block)) return false;
  // One longer than any prefix: the address lies strictly inside even of a block that holds it alone.
  return isStrictlyInside({ family: parsed.family, first: parsed.value, prefix: 129 }, block);
}
