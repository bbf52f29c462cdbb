/**
 * Checks assertions for every pod and address that they name. It judges once for each class of pods
 * that no policy tells apart.
 */
import { familyOf } from '../cluster/addresses.ts';
import { didYouMean } from '../cluster/nearest.ts';
import { type PodRecord, type Protocol, recordKey } from '../cluster/records.ts';
import { isBehind } from '../cluster/service-ports.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { ClusterJudge } from '../explain/cluster-judge.ts';
import type { FlowEnd } from '../explain/flow-end.ts';
import { enforced, type Judgement } from '../explain/judgement.ts';
import { AddressRegions } from './address-regions.ts';
import { AskedPorts, type Port } from './asked-ports.ts';
import type { Assertion, AssertionProblem, EndPattern } from './assertion.ts';
import { flowEnds } from './ends.ts';
import { portKey } from './named-ports.ts';
import { PodClasses, selectablePods } from './pod-classes.ts';
import { workloadName } from './workload-name.ts';

/** A flow that contradicts an assertion. */
export interface Violation {
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  readonly protocol: Protocol;
  readonly port: number;
  readonly judgement: Judgement;
  /**
   * The number of flows that this one stands for, between pods that policies treat alike; at least
   * 1.
   */
  readonly alike: number;
}

export interface AssertionResult {
  readonly assertion: Assertion;
  /** The number of flows that the assertion names. */
  readonly flows: number;
  /** Empty if the assertion holds. */
  readonly violations: readonly Violation[];
  /**
   * `namespace/name` of named hostNetwork pods: no policy applies to them, so nothing is checked.
   */
  readonly leftOut: readonly string[];
}

/** Pods, or an address, that policies treat alike. */
interface Party {
  readonly members: readonly (readonly FlowEnd[])[];
  /** The ports to try if this is the destination. */
  readonly ports: readonly Port[];
}

export class AssertionChecker {
  readonly #pods: readonly PodRecord[];
  readonly #snapshot: ClusterSnapshot;
  readonly #services: readonly ServiceRecord[];
  readonly #judge: ClusterJudge;
  readonly #classes: ReadonlyMap<PodRecord, string>;
  readonly #regions: AddressRegions;
  readonly #podAddresses: ReadonlySet<string>;
  readonly #asked: AskedPorts;

  constructor(snapshot: ClusterSnapshot, services: readonly ServiceRecord[]) {
    const classes = new PodClasses(snapshot.policies);
    this.#snapshot = snapshot;
    this.#services = services;
    this.#pods = selectablePods(snapshot.pods);
    this.#judge = new ClusterJudge(snapshot);
    this.#classes = new Map(this.#pods.map((pod) => [pod, classes.key(pod)]));
    this.#regions = new AddressRegions(snapshot.policies);
    this.#podAddresses = new Set(snapshot.pods.flatMap(({ addresses }) => addresses));
    this.#asked = new AskedPorts(snapshot.policies);
  }

  /** Checks an assertion. Returns a problem if it names no flow: it would hold whatever happens. */
  check(assertion: Assertion): AssertionResult | AssertionProblem {
    const problem = this.#unknownEnd(assertion.from, false) ?? this.#unknownEnd(assertion.to, true);
    if (problem !== undefined) return { ...assertion.place, ...problem };
    const sources = this.#sources(assertion.from);
    const destinations = this.#destinations(assertion);
    let flows = 0;
    const violations: Violation[] = [];
    for (const source of sources) {
      for (const destination of destinations) {
        const pair = pairOf(source, destination);
        if (pair === undefined) continue;
        for (const port of destination.ports) {
          flows += pair.alike;
          violations.push(...this.#violations(pair, port, assertion.expected));
        }
      }
    }
    if (flows === 0) return { ...assertion.place, ...this.#whyNothing(assertion, destinations) };
    const leftOut = [...this.#inHostNetwork(assertion.from, false), ...this.#inHostNetwork(assertion.to, true)];
    return { assertion, flows, violations, leftOut: [...new Set(leftOut)] };
  }

  #violations(pair: Pair, { protocol, port }: Port, expected: 'allow' | 'deny'): Violation[] {
    return pair.flows.flatMap(([from, to]) => {
      const judgement = enforced(this.#judge.judge(from, to, protocol, port));
      return judgement.verdict === expected ? [] : { from, to, protocol, port, judgement, alike: pair.alike };
    });
  }

  #sources(pattern: EndPattern): readonly Party[] {
    if (pattern.kind === 'addresses') return this.#addresses(pattern.areas, []);
    return this.#parties(this.#matching(pattern).map((pod) => ({ pod, ports: [] })));
  }

  /**
   * Returns the destinations that an assertion means. If a Service has the port, `allow` means only
   * the port that the Service's clients reach. `deny` also means the pod's own port of that number,
   * unless the name matches only the Service.
   */
  #destinations({ expected, to, port }: Assertion): readonly Party[] {
    if (to.kind === 'addresses') return this.#addresses(to.areas, this.#asked.of(port, undefined));
    const services = this.#servicesNamed(to);
    const byName = new Set(this.#matching(to));
    return this.#parties(
      this.#pods.flatMap((pod) => {
        const through = this.#asked.through(port, pod, services);
        const isOwnMeant = byName.has(pod) && (expected === 'deny' || through.length === 0);
        const ports = [...through, ...(isOwnMeant ? this.#asked.of(port, pod) : [])];
        const distinct = new Map(ports.map((each) => [portKey(each), each]));
        return ports.length > 0 || byName.has(pod) ? { pod, ports: [...distinct.values()] } : [];
      }),
    );
  }

  #parties(pods: readonly { readonly pod: PodRecord; readonly ports: readonly Port[] }[]): readonly Party[] {
    const groups = Map.groupBy(pods, ({ pod, ports }) => `${this.#classes.get(pod)} ${JSON.stringify(ports)}`);
    return [...groups.values()].map((group) => ({
      members: group.map(({ pod }) => flowEnds(pod)),
      ports: group[0]?.ports ?? [],
    }));
  }

  #addresses(areas: (EndPattern & { kind: 'addresses' })['areas'], ports: readonly Port[]): readonly Party[] {
    return areas
      .flatMap((area) => this.#regions.regionsIn(area, this.#podAddresses))
      .map(({ address }) => ({ members: [[{ kind: 'address', address }]], ports }));
  }

  #matching(pattern: EndPattern & { kind: 'pods' }): readonly PodRecord[] {
    return this.#pods.filter((pod) => isNamed(pod, pattern));
  }

  #servicesNamed({ namespace, name }: EndPattern & { kind: 'pods' }): readonly ServiceRecord[] {
    return this.#services.filter((service) => namespace.test(service.namespace) && name.test(service.name));
  }

  #unknownEnd(pattern: EndPattern, isDestination: boolean): { message: string; hint?: string } | undefined {
    if (pattern.kind === 'addresses' || this.#matching(pattern).length > 0) return undefined;
    if (isDestination && this.#servicesNamed(pattern).length > 0) return undefined;
    const hidden = this.#snapshot.pods.find((pod) => isNamed(pod, pattern));
    if (hidden?.hostNetwork) return { message: inHostNetwork(recordKey(hidden)) };
    if (hidden) return { message: `${recordKey(hidden)} has no address of its own` };
    const message = `no pod${isDestination ? ' or Service' : ''} is named ${pattern.text}`;
    const hint = didYouMean(pattern.text, this.#names(isDestination));
    return hint === undefined ? { message } : { message, hint };
  }

  #inHostNetwork(pattern: EndPattern, isDestination: boolean): readonly string[] {
    if (pattern.kind === 'addresses') return [];
    const services = isDestination ? this.#servicesNamed(pattern) : [];
    return this.#snapshot.pods
      .filter((pod) => pod.hostNetwork && (isNamed(pod, pattern) || services.some((each) => isBehind(each, pod))))
      .map(recordKey);
  }

  #whyNothing({ from, to, port }: Assertion, destinations: readonly Party[]): { message: string; hint?: string } {
    if (
      port !== undefined &&
      'name' in port &&
      to.kind === 'pods' &&
      destinations.every(({ ports }) => ports.length === 0)
    ) {
      const names = this.#matching(to).flatMap((pod) => pod.ports.flatMap(({ name }) => name ?? []));
      const hint = didYouMean(port.name, names);
      const message = `${to.text} has no ${port.protocol} port named ${port.name}`;
      return hint === undefined ? { message } : { message, hint };
    }
    const [unchecked] = destinations.length === 0 ? this.#inHostNetwork(to, true) : [];
    if (unchecked !== undefined) return { message: inHostNetwork(unchecked) };
    return {
      message: `there is no flow from ${from.text} to ${to.text}: they are the same, or have no address family in common`,
    };
  }

  #names(isDestination: boolean): ReadonlySet<string> {
    return new Set([
      ...this.#pods.map((pod) => `${pod.namespace}/${workloadName(pod)}`),
      ...this.#pods.map(recordKey),
      ...(isDestination ? this.#services.map(({ namespace, name }) => `${namespace}/${name}`) : []),
    ]);
  }
}

function inHostNetwork(name: string): string {
  return `${name} is in its node's network, where no policy applies`;
}

function isNamed(pod: PodRecord, { namespace, name }: EndPattern & { kind: 'pods' }): boolean {
  return namespace.test(pod.namespace) && (name.test(pod.name) || name.test(workloadName(pod)));
}

interface Pair {
  readonly flows: readonly (readonly [FlowEnd, FlowEnd])[];
  readonly alike: number;
}

/** Returns the flows between two different members; undefined if no two have a common family. */
function pairOf(source: Party, destination: Party): Pair | undefined {
  const keys = new Set(source.members.map(firstAddress));
  const shared = destination.members.filter((member) => keys.has(firstAddress(member))).length;
  const alike = source.members.length * destination.members.length - shared;
  const from = source.members[0] ?? [];
  const to = destination.members.find((member) => firstAddress(member) !== firstAddress(from));
  const [sources, target] = to === undefined ? [source.members[1] ?? [], destination.members[0] ?? []] : [from, to];
  const flows = sources.flatMap((each) => {
    const same = target.find(({ address }) => familyOf(address) === familyOf(each.address));
    return same === undefined ? [] : [[each, same] as const];
  });
  return alike === 0 || flows.length === 0 ? undefined : { flows, alike };
}

function firstAddress(member: readonly FlowEnd[]): string | undefined {
  return member[0]?.address;
}
