/**
 * The meaning of NetworkPolicies, written down as the API reference says it and evaluated in the
 * slowest way: every policy for every flow. It shares only the record types with src/policy, so
 * that the two are unlikely to be wrong together.
 *
 * Quotations:
 * https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
 */
import type {
  Direction,
  IpBlock,
  LabelSelector,
  Labels,
  PodRecord,
  PolicyPeer,
  PolicyPort,
  PolicyRecord,
  SelectorRequirement,
} from '../../src/cluster/records.ts';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';

export interface Flow {
  /** Textual addresses. */
  readonly source: string;
  readonly destination: string;
  /** IANA number. */
  readonly protocol: number;
  /** -1 if the protocol has no ports, or a fragment does not show them. */
  readonly port: number;
}

/** podfence's own rule: an address that more pods than this share is closed. */
const MOST_SHARERS = 8;

export interface SideVerdict {
  /** Whether the side's pod is isolated for the direction; false if there is no such pod. */
  readonly isolated: boolean;
  /** Whether this side lets the flow through. */
  readonly allowed: boolean;
}

/**
 * Returns both sides, each as the node of its pod judges it. If `node` is given, pods of other
 * nodes are not judged: neither isolated nor denied.
 */
export function evaluate(snapshot: ClusterSnapshot, flow: Flow, node?: string): Record<Direction, SideVerdict> {
  const cases = evaluateCases(snapshot, flow, node);
  const isOfTooMany = (address: string) => ownersOf(snapshot, address).length > MOST_SHARERS;
  const side = (direction: Direction): SideVerdict =>
    isOfTooMany(direction === 'egress' ? flow.source : flow.destination)
      ? { isolated: true, allowed: false }
      : {
          isolated: cases.some((each) => each[direction].isolated),
          allowed: cases.every((each) => each[direction].allowed),
        };
  return { egress: side('egress'), ingress: side('ingress') };
}

/** Returns the same for each pair of pods that share the ends, in the order of the pods. */
export function evaluateCases(
  snapshot: ClusterSnapshot,
  flow: Flow,
  node?: string,
): readonly Record<Direction, SideVerdict>[] {
  return [...worldsOf(snapshot, flow)].map((world) => ({
    egress: evaluateSide(world, flow, 'egress', node),
    ingress: evaluateSide(world, flow, 'ingress', node),
  }));
}

/**
 * Returns the pods that have an address. Pods of the host network have none of their own. Among
 * several, pods on a node that is not lost win, then pods that are not being deleted, then ready
 * ones, then the newest of each node. All that are left share the address.
 */
export function ownersOf({ pods }: ClusterSnapshot, address: string): readonly PodRecord[] {
  const known = owners.get(pods) ?? new Map<string, readonly PodRecord[]>();
  owners.set(pods, known);
  const those = known.get(address) ?? findOwners(pods, address);
  known.set(address, those);
  return those;
}

/** Cached results, by the list of pods and by address. */
const owners = new WeakMap<readonly PodRecord[], Map<string, readonly PodRecord[]>>();

function findOwners(pods: readonly PodRecord[], address: string): readonly PodRecord[] {
  let left = pods.filter((pod) => !pod.hostNetwork && pod.addresses.some((each) => sameAddress(each, address)));
  const prefer = (isBetter: (pod: PodRecord) => boolean) => {
    if (left.some(isBetter)) left = left.filter(isBetter);
  };
  prefer(({ lost }) => lost !== true);
  prefer(({ deleting }) => deleting !== true);
  prefer(({ unready }) => unready !== true);
  const isOlder = (pod: PodRecord) =>
    left.some((other) => other.nodeName === pod.nodeName && (other.created ?? 0) > (pod.created ?? 0));
  return left.filter((pod) => !isOlder(pod));
}

/**
 * A possible cluster: one of the pods that share the source, and one of those that share the
 * destination.
 */
interface World extends ClusterSnapshot {
  podAt(address: string): PodRecord | undefined;
}

function* worldsOf(snapshot: ClusterSnapshot, { source, destination }: Flow): Generator<World> {
  const isItself = sameAddress(source, destination);
  const [sources, destinations] = [ownersOf(snapshot, source), ownersOf(snapshot, destination)];
  for (const from of sources.length > 0 ? sources : [undefined]) {
    for (const to of destinations.length > 0 ? destinations : [undefined]) {
      if (isItself && from !== to) continue;
      yield { ...snapshot, podAt: (address) => (sameAddress(address, source) ? from : to) };
    }
  }
}

/** A pod that shares an address with one of the node is judged as if it were there too. */
function isJudgedOn(snapshot: ClusterSnapshot, pod: PodRecord, node: string): boolean {
  if (pod.nodeName === node) return true;
  const is = (each: PodRecord) => each.namespace === pod.namespace && each.name === pod.name;
  const owners = snapshot.pods.filter(is).flatMap(({ addresses }) =>
    addresses.flatMap((address) => {
      const sharers = ownersOf(snapshot, address);
      return sharers.some(is) ? sharers : [];
    }),
  );
  return [pod, ...owners].some(({ nodeName }) => nodeName === node);
}

function evaluateSide(world: World, flow: Flow, direction: Direction, node: string | undefined): SideVerdict {
  const [ownAddress, peerAddress] =
    direction === 'egress' ? [flow.source, flow.destination] : [flow.destination, flow.source];
  const pod = world.podAt(ownAddress);
  if (pod === undefined || (node !== undefined && !isJudgedOn(world, pod, node)))
    return { isolated: false, allowed: true };
  const policies = world.policies.filter(
    (policy) =>
      policy.namespace === pod.namespace &&
      policy.isolates.includes(direction) &&
      selects(policy.podSelector, pod.labels),
  );
  // "Traffic is allowed to a pod if there are no NetworkPolicies selecting the pod [...] OR if the
  // traffic matches at least one ingress rule across all of the NetworkPolicy objects whose
  // podSelector matches the pod."
  if (policies.length === 0) return { isolated: false, allowed: true };
  return {
    isolated: true,
    allowed: policies.some((policy) => policyAllows(world, policy, direction, peerAddress, flow)),
  };
}

function policyAllows(
  world: World,
  policy: PolicyRecord,
  direction: Direction,
  peerAddress: string,
  flow: Flow,
): boolean {
  if (policy.error !== undefined) return false;
  return policy[direction].some(
    ({ peers, ports }) =>
      // "If this field is empty or missing, this rule matches all sources (traffic not restricted
      // by source)."
      (peers.length === 0 || peers.some((peer) => peerMatches(world, peer, policy.namespace, peerAddress))) &&
      // "If this field is empty or missing, this rule matches all ports (traffic not restricted by
      // port)."
      (ports.length === 0 || ports.some((port) => portMatches(world, port, flow))),
  );
}

function peerMatches(world: World, peer: PolicyPeer, namespace: string, address: string): boolean {
  const { ipBlock, namespaceSelector, podSelector } = peer;
  // "If this field is set then neither of the other fields can be."
  if (ipBlock !== undefined) return blockHolds(ipBlock, address);
  if (namespaceSelector === undefined && podSelector === undefined) return false;
  const pod = world.podAt(address);
  if (pod === undefined) return false;
  // "If podSelector is also set, then the NetworkPolicyPeer as a whole selects the pods matching
  // podSelector in the namespaces selected by namespaceSelector. Otherwise it selects all pods in
  // the namespaces selected by namespaceSelector."
  if (podSelector !== undefined && !selects(podSelector, pod.labels)) return false;
  // "Otherwise it selects the pods matching podSelector in the policy's own namespace."
  if (namespaceSelector === undefined) return pod.namespace === namespace;
  // podfence's own rule: no namespaceSelector matches an unknown namespace.
  const peerNamespace = world.namespaces.find(({ name }) => name === pod.namespace);
  return peerNamespace !== undefined && selects(namespaceSelector, peerNamespace.labels);
}

const PROTOCOL_NUMBERS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

function portMatches(world: World, { protocol, port, endPort }: PolicyPort, flow: Flow): boolean {
  if (PROTOCOL_NUMBERS[protocol] !== flow.protocol) return false;
  // "If this field is not provided, this matches all port names and numbers."
  if (port === undefined) return true;
  if (typeof port === 'number') return flow.port >= port && flow.port <= (endPort ?? port);
  // "This can either be a numerical or named port on a pod": on the one that receives the traffic.
  const destination = world.podAt(flow.destination);
  return (
    destination?.ports.some((each) => each.name === port && each.protocol === protocol && each.port === flow.port) ??
    false
  );
}

function selects({ matchLabels, matchExpressions }: LabelSelector, labels: Labels): boolean {
  return (
    Object.keys(matchLabels).every((key) => labels[key] === matchLabels[key]) &&
    matchExpressions.every((requirement) => satisfies(requirement, labels))
  );
}

function satisfies({ key, operator, values }: SelectorRequirement, labels: Labels): boolean {
  const present = Object.keys(labels).includes(key);
  if (operator === 'Exists') return present;
  if (operator === 'DoesNotExist') return !present;
  const listed = present && values.includes(labels[key] ?? '');
  return operator === 'In' ? listed : !listed;
}

function blockHolds({ cidr, except }: IpBlock, address: string): boolean {
  return cidrHolds(cidr, address) && !except.some((hole) => cidrHolds(hole, address));
}

function cidrHolds(cidr: string, address: string): boolean {
  const [base = '', length = ''] = cidr.split('/');
  const network = integer(base);
  const host = integer(address);
  if (network.bits !== host.bits) return false;
  const ignored = BigInt(network.bits - Number(length));
  return network.value >> ignored === host.value >> ignored;
}

function sameAddress(a: string, b: string): boolean {
  const [left, right] = [integer(a), integer(b)];
  return left.bits === right.bits && left.value === right.value;
}

const integers = new Map<string, { bits: number; value: bigint }>();

function integer(address: string): { bits: number; value: bigint } {
  let known = integers.get(address);
  if (known === undefined) {
    known = address.includes(':')
      ? { bits: 128, value: joined(ipv6Groups(address), 16) }
      : { bits: 32, value: joined(address.split('.').map(Number), 8) };
    integers.set(address, known);
  }
  return known;
}

function ipv6Groups(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  if (tail === undefined) return groups(head);
  const [front, back] = [groups(head), groups(tail)];
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
}

function joined(parts: readonly number[], bits: number): bigint {
  return parts.reduce((value, part) => (value << BigInt(bits)) | BigInt(part), 0n);
}
