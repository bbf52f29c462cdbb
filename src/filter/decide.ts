/**
 * What the policies say about a packet that opens a flow. Looks at no flow.
 *
 * IPv4 and IPv6 are written twice: address words are passed as numbers, so that nothing is
 * allocated.
 */
import { isNeighbourDiscovery } from '../packet/icmp-types.ts';
import type { Packet } from '../packet/packet.ts';
import { hasPorts, ICMPV6 } from '../packet/protocols.ts';
import { BY_AUDITED, BY_ENFORCED, type DirectionIndex, EGRESS, INGRESS, type RuleTable } from '../policy/rule-table.ts';
import {
  ALLOWED_BY_POLICY,
  EGRESS_DENIED,
  FIRST_DENY,
  FRAGMENT,
  INGRESS_DENIED,
  NEIGHBOUR_DISCOVERY,
  NOT_ISOLATED,
  SAME_POD,
} from './reasons.ts';

/** The slot of an address that no pod has. */
const NOBODY = -1;

/** A ruling is one int32: the reason in its lowest bits, then the flags below. */
export const REASON_BITS = 8;
export const SOURCE_IS_ENDPOINT = 1 << 8;
export const DESTINATION_IS_ENDPOINT = 1 << 9;
/** The ingress side denied. */
export const DENIED_BY_INGRESS = 1 << 10;
/** Only audited policies deny, so the packet passes. */
export const AUDITED = 1 << 11;
/**
 * One of the pods is isolated in some direction, so the flow's replies or later packets depend on
 * this one.
 */
export const TRACKED = 1 << 12;
/** Enforced policies, not only audited ones, isolate one of the pods. */
export const ENFORCED = 1 << 13;
const ABOUT_ENDS = SOURCE_IS_ENDPOINT | DESTINATION_IS_ENDPOINT | TRACKED | ENFORCED;

export function reasonOf(ruling: number): number {
  return ruling & 0xff;
}

/** Whether the ruling denies. A denial by audited policies alone does not count. */
export function isDenied(ruling: number): boolean {
  return (ruling & 0xff) >= FIRST_DENY && (ruling & AUDITED) === 0;
}

/**
 * Whether the policies object less in `ruling` than in `than`. A denial weighs most, one by audited
 * policies alone less, an allowance nothing.
 */
export function isLess(ruling: number, than: number): boolean {
  return weight(ruling) < weight(than);
}

function weight(ruling: number): number {
  if (reasonOf(ruling) < FIRST_DENY) return 0;
  return (ruling & AUDITED) !== 0 ? 1 : 2;
}

/**
 * Returns the ruling on a decoded packet whose status is OK: both directions together, with the
 * flags about its ends.
 */
export function rule(table: RuleTable, packet: Packet): number {
  return packet.family === 4 ? rule4(table, packet) : rule6(table, packet);
}

/**
 * Returns what the policies say about one direction of the packet, whatever they say about the
 * other: a reason, with AUDITED if only audited policies deny it. Slower than `rule`: meant for
 * questions, not for packets.
 */
export function ruleDirection(table: RuleTable, packet: Packet, direction: DirectionIndex): number {
  const { family, src0, src1, src2, src3, dst0, dst1, dst2, dst3 } = packet;
  const src = family === 4 ? table.lookup4(src0) : table.lookup6(src0, src1, src2, src3);
  const dst = family === 4 ? table.lookup4(dst0) : table.lookup6(dst0, dst1, dst2, dst3);
  const side = direction === EGRESS ? src : dst;
  if (table.hasTooManySharers(side)) return denial(packet, direction);
  const peer = direction === EGRESS ? dst : src;
  let ruling = NOT_ISOLATED;
  let own = side;
  do {
    let other = table.hasTooManySharers(peer) ? NOBODY : peer;
    do {
      const [source, destination] = direction === EGRESS ? [own, other] : [other, own];
      const each = ruleSide(table, packet, table.sharer(source), table.sharer(destination), direction);
      if (saysMore(each, ruling)) ruling = each;
      other = table.nextSharer(other);
    } while (other !== -1);
    own = table.nextSharer(own);
  } while (own !== -1);
  return ruling;
}

/** @param src slot of the source, which must not be a shared one; the same for `dst` */
function ruleSide(table: RuleTable, packet: Packet, src: number, dst: number, direction: DirectionIndex): number {
  const { family, src0, src1, src2, src3, dst0, dst1, dst2, dst3 } = packet;
  const same = src0 === dst0 && (family === 4 || (src1 === dst1 && src2 === dst2 && src3 === dst3));
  if (same || table.samePod(src, dst)) return SAME_POD;
  if (isDiscovery(packet)) return NEIGHBOUR_DISCOVERY;
  const isolation = table.isolation(direction === EGRESS ? src : dst, direction);
  if (direction === EGRESS)
    return family === 4 ? egress4(table, packet, src, dst, isolation) : egress6(table, packet, src, dst, isolation);
  return family === 4 ? ingress4(table, packet, src, dst, isolation) : ingress6(table, packet, src, dst, isolation);
}

function rule4(table: RuleTable, packet: Packet): number {
  const src = table.lookup4(packet.src0);
  const dst = table.lookup4(packet.dst0);
  return table.isShared(src) || table.isShared(dst)
    ? ruleEach(table, packet, src, dst)
    : rulePods4(table, packet, src, dst);
}

function rule6(table: RuleTable, packet: Packet): number {
  const { src0, src1, src2, src3, dst0, dst1, dst2, dst3 } = packet;
  const src = table.lookup6(src0, src1, src2, src3);
  const dst = table.lookup6(dst0, dst1, dst2, dst3);
  return table.isShared(src) || table.isShared(dst)
    ? ruleEach(table, packet, src, dst)
    : rulePods6(table, packet, src, dst);
}

/**
 * Judges a packet whose source or destination address several pods share, for every pod that it may
 * be: a denial for one denies, and the isolation of one makes the packet TRACKED.
 */
function ruleEach(table: RuleTable, packet: Packet, src: number, dst: number): number {
  if (table.hasTooManySharers(src)) return TRACKED | ENFORCED | SOURCE_IS_ENDPOINT | denial(packet, EGRESS);
  if (table.hasTooManySharers(dst)) return TRACKED | ENFORCED | DESTINATION_IS_ENDPOINT | denial(packet, INGRESS);
  let ruling = NOT_ISOLATED;
  let cameToLight = 0;
  let from = src;
  do {
    const source = table.sharer(from);
    let to = dst;
    do {
      const destination = table.sharer(to);
      const each =
        packet.family === 4
          ? rulePods4(table, packet, source, destination)
          : rulePods6(table, packet, source, destination);
      cameToLight |= each & ABOUT_ENDS;
      if (saysMore(each, ruling)) ruling = each;
      to = table.nextSharer(to);
    } while (to !== -1);
    from = table.nextSharer(from);
  } while (from !== -1);
  return ruling | cameToLight;
}

/**
 * Whether `ruling` outweighs `than`. If they weigh the same, the winner is the ruling that a packet
 * between two pods with addresses of their own would get: egress before ingress, a policy's
 * allowance before none. So the order in which pods are looked at does not matter.
 */
function saysMore(ruling: number, than: number): boolean {
  if (weight(ruling) !== weight(than)) return weight(ruling) > weight(than);
  if (weight(ruling) === 0) return reasonOf(than) === NOT_ISOLATED;
  return (ruling & DENIED_BY_INGRESS) === 0;
}

/** @param src slot of the source, which must not be a shared one; the same for `dst` */
function rulePods4(table: RuleTable, packet: Packet, src: number, dst: number): number {
  const ends = endpoints(table, src, dst);
  if (packet.src0 === packet.dst0 || table.samePod(src, dst)) return ends | SAME_POD;
  const isolated = isolation(table, src, dst);
  if (isolated === 0) return ends | NOT_ISOLATED;
  const told = ends | trackedBy(isolated);
  const egress = egress4(table, packet, src, dst, isolated & ISOLATION);
  if (isDenied(egress)) return told | egress;
  return told | together(egress, ingress4(table, packet, src, dst, (isolated >> INGRESS_SHIFT) & ISOLATION));
}

function rulePods6(table: RuleTable, packet: Packet, src: number, dst: number): number {
  const { src0, src1, src2, src3, dst0, dst1, dst2, dst3 } = packet;
  const ends = endpoints(table, src, dst);
  const same = src3 === dst3 && src2 === dst2 && src1 === dst1 && src0 === dst0;
  if (same || table.samePod(src, dst)) return ends | SAME_POD;
  if (isDiscovery(packet)) return ends | NEIGHBOUR_DISCOVERY;
  const isolated = isolation(table, src, dst);
  if (isolated === 0) return ends | NOT_ISOLATED;
  const told = ends | trackedBy(isolated);
  const egress = egress6(table, packet, src, dst, isolated & ISOLATION);
  if (isDenied(egress)) return told | egress;
  return told | together(egress, ingress6(table, packet, src, dst, (isolated >> INGRESS_SHIFT) & ISOLATION));
}

/**
 * The four functions below judge one direction of an endpoint that is isolated as `isolation` says
 * (0, BY_AUDITED or BY_ENFORCED). They return a reason, with AUDITED if audited policies deny, and
 * with DENIED_BY_INGRESS if ingress does.
 */
function egress4(table: RuleTable, packet: Packet, src: number, dst: number, isolation: number): number {
  if (isolation === 0) return NOT_ISOLATED;
  const { dst0, protocol } = packet;
  if (table.allows4(src, EGRESS, dst, dst0, dst, protocol, policyPort(packet))) return ALLOWED_BY_POLICY;
  return denialBy(packet, EGRESS, isolation);
}

function ingress4(table: RuleTable, packet: Packet, src: number, dst: number, isolation: number): number {
  if (isolation === 0) return NOT_ISOLATED;
  const { src0, protocol } = packet;
  if (table.allows4(dst, INGRESS, src, src0, dst, protocol, policyPort(packet))) return ALLOWED_BY_POLICY;
  return denialBy(packet, INGRESS, isolation);
}

function egress6(table: RuleTable, packet: Packet, src: number, dst: number, isolation: number): number {
  if (isolation === 0) return NOT_ISOLATED;
  const { dst0, dst1, dst2, dst3, protocol } = packet;
  if (table.allows6(src, EGRESS, dst, dst0, dst1, dst2, dst3, dst, protocol, policyPort(packet)))
    return ALLOWED_BY_POLICY;
  return denialBy(packet, EGRESS, isolation);
}

function ingress6(table: RuleTable, packet: Packet, src: number, dst: number, isolation: number): number {
  if (isolation === 0) return NOT_ISOLATED;
  const { src0, src1, src2, src3, protocol } = packet;
  if (table.allows6(dst, INGRESS, src, src0, src1, src2, src3, dst, protocol, policyPort(packet)))
    return ALLOWED_BY_POLICY;
  return denialBy(packet, INGRESS, isolation);
}

/**
 * Combines both directions. A denial counts before one by audited policies, that before an
 * allowance by a policy, that before NOT_ISOLATED; of equals egress counts.
 */
export function together(egress: number, ingress: number): number {
  if (isDenied(egress)) return egress;
  if (isDenied(ingress) || (egress & AUDITED) === 0) return ingress === NOT_ISOLATED ? egress : ingress;
  return egress;
}

function denialBy(packet: Packet, direction: DirectionIndex, isolation: number): number {
  return isolation === BY_AUDITED ? AUDITED | denial(packet, direction) : denial(packet, direction);
}

/**
 * Whether it is neighbour discovery. Its hop limit must be 255, which proves that no router
 * forwarded it; receivers ignore any other (RFC 4861 section 7.1).
 */
function isDiscovery({ protocol, icmpType, hopLimit }: Packet): boolean {
  return protocol === ICMPV6 && isNeighbourDiscovery(icmpType) && hopLimit === 255;
}

function endpoints(table: RuleTable, src: number, dst: number): number {
  return (table.isEndpoint(src) ? SOURCE_IS_ENDPOINT : 0) | (table.isEndpoint(dst) ? DESTINATION_IS_ENDPOINT : 0);
}

/**
 * `isolation` returns two bits for the packet's egress, and from INGRESS_SHIFT on two for its
 * ingress.
 */
const ISOLATION = BY_ENFORCED | BY_AUDITED;
const INGRESS_SHIFT = 2;
/** From here on, two bits for both directions that decide the replies. */
const REPLY_SHIFT = 4;
const ANY_ENFORCED = BY_ENFORCED | (BY_ENFORCED << INGRESS_SHIFT) | (BY_ENFORCED << REPLY_SHIFT);

function isolation(table: RuleTable, src: number, dst: number): number {
  return (
    table.isolation(src, EGRESS) |
    (table.isolation(dst, INGRESS) << INGRESS_SHIFT) |
    ((table.isolation(src, INGRESS) | table.isolation(dst, EGRESS)) << REPLY_SHIFT)
  );
}

function trackedBy(isolated: number): number {
  return (isolated & ANY_ENFORCED) !== 0 ? TRACKED | ENFORCED : TRACKED;
}

/**
 * Returns the port that a NetworkPolicyPort can allow; -1 for a later fragment, and for ICMP, whose
 * identifier is not a port.
 */
function policyPort(packet: Packet): number {
  return hasPorts(packet.protocol) ? packet.dstPort : -1;
}

/** A later fragment has no port to compare, so its reason is FRAGMENT, whichever side denies it. */
function denial(packet: Packet, direction: DirectionIndex): number {
  const side = direction === EGRESS ? 0 : DENIED_BY_INGRESS;
  if (packet.isLaterFragment && hasPorts(packet.protocol)) return side | FRAGMENT;
  return side | (direction === EGRESS ? EGRESS_DENIED : INGRESS_DENIED);
}
