/**
 * Placeholder addresses, because manifests do not contain the address that a pod will get.
 * Selectors ignore addresses, but the verdict of an ipBlock may differ in the cluster.
 */
import { addressBits, type Cidr, familyOf, isMistake, isStrictlyInside, parseCidr } from '../cluster/addresses.ts';
import { type Direction, type IpBlock, type PolicyRecord, type PolicyRule, recordKey } from '../cluster/records.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { type AttributedFlow, type Attribution, isInCidr } from '../policy/attribution.ts';
import { endName, type FlowEnd } from './flow-end.ts';
import { and } from './words.ts';

export interface AssignedAddresses {
  /** Addresses of pods, and of nodes that host-network pods run on; canonical text. */
  readonly addresses: ReadonlySet<string>;
  /** CIDRs. An address in one of them is a placeholder, but the range is the real one. */
  readonly ranges: readonly string[];
}

export const NONE_ASSIGNED: AssignedAddresses = { addresses: new Set(), ranges: [] };

/** Where clusters put their pods: private use (RFC 1918), shared (RFC 6598), and all of IPv6. */
const USUAL_RANGES = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '::/0'].flatMap(blockOf);

/**
 * Returns a sentence if the direction's verdict depends on a placeholder address of `peer`: with
 * another address it could be the opposite.
 */
export function assignedAddressNote(
  attribution: Attribution,
  assigned: AssignedAddresses,
  flow: AttributedFlow,
  direction: Direction,
  [own, peer]: readonly [own: FlowEnd, peer: FlowEnd],
): string | undefined {
  if (!assigned.addresses.has(peer.address)) return undefined;
  const policies = attribution.isolating(own.address, direction).filter(({ error }) => error === undefined);
  const atPort = policies.map((policy) => ({
    policy,
    rules: policy[direction].filter(
      ({ ports }) => ports.length === 0 || ports.some((port) => attribution.isPort(port, flow)),
    ),
  }));
  if (atPort.some(({ policy, rules }) => rules.some((rule) => allowsAnyway(attribution, policy, rule, peer))))
    return undefined;
  const deciding = atPort.filter(({ rules }) =>
    rules.some((rule) => blocksOf(rule).some((block) => tellsApart(block, peer.address, assigned))),
  );
  if (deciding.length === 0) return undefined;
  const names = and(deciding.map(({ policy }) => recordKey(policy)));
  return `The address of ${endName(peer)} is not known: ${peer.address} is made up. An ipBlock of ${names} depends on it, so the ${direction} verdict may differ in the cluster.`;
}

/** Whether any ipBlock may match some of the possible real addresses and not others. */
export function dependsOnAssigned(
  { policies }: Pick<ClusterSnapshot, 'policies'>,
  assigned: AssignedAddresses,
): boolean {
  const blocks = policies.flatMap(({ ingress, egress }) => [...ingress, ...egress].flatMap(blocksOf));
  if (blocks.length === 0) return false;
  // Addresses in the same range give the same answer; without a range, so do those of the same
  // family.
  const kinds = new Map(
    [...assigned.addresses].map((each) => [
      assigned.ranges.find((range) => isInCidr(each, range)) ?? familyOf(each),
      each,
    ]),
  );
  return [...kinds.values()].some((address) => blocks.some((block) => tellsApart(block, address, assigned)));
}

/** Whether the rule allows the peer whatever its address is. */
function allowsAnyway(
  attribution: Attribution,
  { namespace }: PolicyRecord,
  { peers }: PolicyRule,
  { address }: FlowEnd,
): boolean {
  return (
    peers.length === 0 ||
    peers.some((peer) => peer.ipBlock === undefined && attribution.isPeer(peer, namespace, address))
  );
}

function blocksOf({ peers }: PolicyRule): readonly IpBlock[] {
  return peers.flatMap(({ ipBlock }) => ipBlock ?? []);
}

/** Whether a block contains some of the addresses that the real one may be, and not others. */
function tellsApart({ cidr, except }: IpBlock, address: string, assigned: AssignedAddresses): boolean {
  const parts = [cidr, ...except].flatMap(blockOf);
  const range = rangeOf(address, assigned);
  if (range !== undefined) return parts.some((part) => isStrictlyInside(part, range));
  const family = familyOf(address);
  // A single address is one that the policy's author knew, so it is not a pod's future address.
  return parts.some(
    (part) =>
      part.family === family && part.prefix > 0 && !isSingle(part) && USUAL_RANGES.some((each) => overlap(part, each)),
  );
}

function rangeOf(address: string, { ranges }: AssignedAddresses): Cidr | undefined {
  return ranges.filter((each) => isInCidr(address, each)).flatMap(blockOf)[0];
}

function isSingle({ family, prefix }: Cidr): boolean {
  return prefix === addressBits(family);
}

function overlap(a: Cidr, b: Cidr): boolean {
  return (
    isStrictlyInside(a, b) ||
    isStrictlyInside(b, a) ||
    (a.family === b.family && a.first === b.first && a.prefix === b.prefix)
  );
}

function blockOf(text: string): readonly Cidr[] {
  const block = parseCidr(text);
  return isMistake(block) ? [] : [block];
}
