/**
 * The rows and columns of a matrix: pods, with the replicas of a workload merged unless a policy
 * tells them apart, and the parts of the outside world that policies tell apart.
 */
import { type Family, parseAddress } from '../cluster/addresses.ts';
import { type PodRecord, type PolicyRecord, recordKey } from '../cluster/records.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { podEnd } from '../explain/ends.ts';
import type { FlowEnd } from '../explain/flow-end.ts';
import { AddressRegions, wholeFamily } from './address-regions.ts';
import { PodClasses, selectablePods } from './pod-classes.ts';
import { DestinationPorts, type MatrixPort } from './ports.ts';
import { byNamespaceAndName } from './table.ts';
import { workloadName } from './workload-name.ts';

/** The name for addresses outside the cluster that are in no ipBlock. */
const OUTSIDE = 'outside';

export interface PodsEnd {
  readonly kind: 'pods';
  /** `namespace/workload`, or `namespace/name` of a single pod. Unique among the ends. */
  readonly name: string;
  readonly namespace: string;
  /** `namespace/name` of each pod; at least one. */
  readonly pods: readonly string[];
  readonly ports: readonly MatrixPort[];
}

export interface AddressesEnd {
  readonly kind: 'addresses';
  /** `outside`, the CIDR of an ipBlock, or the name that the user gave. */
  readonly name: string;
  /** The addresses that are tried, at most one of each family. */
  readonly addresses: readonly string[];
  /** The ports that are tried. */
  readonly ports: readonly MatrixPort[];
}

export type MatrixEnd = PodsEnd | AddressesEnd;

/** An end, and what it takes to judge it. */
export interface JudgedEnd {
  readonly end: MatrixEnd;
  /** Equal for ends that policies treat alike. */
  readonly judgedAs: string;
  /** At most two members, to judge flows between replicas; each with its addresses. */
  readonly members: readonly (readonly FlowEnd[])[];
  /**
   * Ports that the end does not have. The matrix shows those on which the answer says something.
   */
  readonly beyond: readonly MatrixPort[];
}

/** An address outside the cluster that the user named. */
export interface External {
  readonly name: string;
  /** Canonical text. */
  readonly address: string;
}

/** The most blocks in a matrix: a reader has no use for more. */
const MOST_BLOCKS = 24;

/**
 * Returns the ends that are pods.
 * @param worlds the cluster, then others to compare it with. An end is split if any of them tells
 * its pods apart
 */
export function podEnds(
  worlds: readonly [ClusterSnapshot, ...ClusterSnapshot[]],
  services: readonly ServiceRecord[],
): readonly JudgedEnd[] {
  const [{ pods }] = worlds;
  const classes = worlds.map((world) => ({
    classes: new PodClasses(world.policies),
    pods: new Map(world.pods.map((pod) => [recordKey(pod), pod])),
  }));
  const classOf = (pod: PodRecord) =>
    JSON.stringify(classes.map((world) => world.classes.key(world.pods.get(recordKey(pod)) ?? pod)));
  const ports = new DestinationPorts(allPolicies(worlds), services);
  const selectable = selectablePods(pods);
  const groups = Map.groupBy(selectable, (pod) => JSON.stringify([workloadKey(pod), classOf(pod), ports.ofPod(pod)]));
  const groupsOfWorkload = new Map<string, number>();
  for (const [first] of groups.values()) {
    if (first !== undefined)
      groupsOfWorkload.set(workloadKey(first), (groupsOfWorkload.get(workloadKey(first)) ?? 0) + 1);
  }
  const podNames = new Set(selectable.map(recordKey));
  return [...groups.values()]
    .flatMap((group): JudgedEnd[] => {
      const members = group.toSorted((a, b) => byNamespaceAndName(recordKey(a), recordKey(b)));
      const [first] = members;
      if (first === undefined) return [];
      const workload = workloadKey(first);
      const hasWorkloadName = groupsOfWorkload.get(workload) === 1 && !podNames.has(workload);
      const name = hasWorkloadName ? workload : `${recordKey(first)} +${members.length - 1}`;
      const end: PodsEnd = {
        kind: 'pods',
        name: members.length === 1 ? recordKey(first) : name,
        namespace: first.namespace,
        pods: members.map(recordKey),
        ports: ports.ofPod(first),
      };
      const views = worlds.map(({ policies }, i) => {
        const pod = classes[i]?.pods.get(recordKey(first)) ?? first;
        return { policies, pod, addresses: pod.addresses };
      });
      return [
        {
          end,
          judgedAs: classOf(first),
          members: members.slice(0, 2).map(flowEnds),
          beyond: ports.beyond(views, end.ports),
        },
      ];
    })
    .sort((a, b) => byNamespaceAndName(a.end.name, b.end.name));
}

/** Returns the ends outside the cluster, and the number of blocks beyond MOST_BLOCKS. */
export function addressEnds(
  worlds: readonly ClusterSnapshot[],
  externals: readonly External[],
): { readonly ends: readonly JudgedEnd[]; readonly omitted: number } {
  const policies = allPolicies(worlds);
  const regions = new AddressRegions(policies);
  const podAddresses = new Set(worlds.flatMap(({ pods }) => pods.flatMap(({ addresses }) => addresses)));
  const families = new Set([...podAddresses].flatMap((text) => parseAddress(text)?.family ?? []));
  const found = [...(families.size > 0 ? families : new Set<Family>(['IPv4']))].flatMap((family) =>
    regions.regionsIn(wholeFamily(family), podAddresses),
  );
  const ports = new DestinationPorts(policies, []);
  const named = (name: string, addresses: readonly string[]): JudgedEnd => {
    const known = ports.ofAddresses(addresses);
    const views = worlds.map((world) => ({ policies: world.policies, pod: undefined, addresses }));
    return {
      end: { kind: 'addresses', name, addresses, ports: known },
      judgedAs: `addresses ${addresses.join(' ')}`,
      members: [addresses.map((address): FlowEnd => ({ kind: 'address', address }))],
      beyond: ports.beyond(views, known),
    };
  };
  const outside = found.filter(({ innermost }) => innermost === undefined).map(({ address }) => address);
  const blocks = found.flatMap(({ innermost, address }) => (innermost === undefined ? [] : { innermost, address }));
  const byName = Map.groupBy(externals, ({ name }) => name);
  return {
    ends: [
      ...(outside.length > 0 ? [named(OUTSIDE, outside)] : []),
      ...[...byName].map(([name, each]) =>
        named(
          name,
          each.map(({ address }) => address),
        ),
      ),
      ...blocks.slice(0, MOST_BLOCKS).map(({ innermost, address }) => named(innermost, [address])),
    ],
    omitted: Math.max(0, blocks.length - MOST_BLOCKS),
  };
}

function allPolicies(worlds: readonly ClusterSnapshot[]): readonly PolicyRecord[] {
  return worlds.flatMap(({ policies }) => policies);
}

function workloadKey(pod: PodRecord): string {
  return `${pod.namespace}/${workloadName(pod)}`;
}

/** Returns one end for each address of a pod. */
export function flowEnds(pod: PodRecord): readonly FlowEnd[] {
  return pod.addresses.map((address) => podEnd(pod, address));
}
