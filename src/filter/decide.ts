/**
 * What the policies say about a packet that opens a flow; no flow is looked at.
 *
 * IPv4 and IPv6 are written twice: the words of an address are passed as numbers, so that nothing is allocated.
 */
import { isNeighbourDiscovery } from '../packet/icmp-types.ts';
import { OK, type Packet } from '../packet/packet.ts';
import { hasPorts, ICMPV6 } from '../packet/protocols.ts';
import { BY_AUDITED, BY_ENFORCED, EGRESS, INGRESS, type RuleTable } from '../policy/rule-table.ts';
import {
  ALLOWED_BY_POLICY,
  EGRESS_DENIED,
  FIRST_DENY,
  FRAGMENT,
  INGRESS_DENIED,
  MALFORMED,
  NEIGHBOUR_DISCOVERY,
  NOT_ISOLATED,
  SAME_POD,
} from './reasons.ts';

/** The reason code of filter/reasons.ts for a decoded packet. */
export function decide(table: RuleTable, packet: Packet): number {
  return packet.status === OK ? reasonOf(rule(table, packet)) : MALFORMED;
}

/** A ruling is a reason in bits 0 to 7, and with it in one int32 what else came to light: */
export const SOURCE_IS_ENDPOINT = 1 << 8;
const DESTINATION_IS_ENDPOINT = 1 << 9;
/** the ingress side is the one that denied, */
export const DENIED_BY_INGRESS = 1 << 10;
/** audited policies alone deny it, so that it passes, */
export const AUDITED = 1 << 11;
/** one of the pods is isolated in some direction, so that the flow's replies, or its next packets, depend on this one, */
export const TRACKED = 1 << 12;
/** and that by policies that are enforced. */
export const ENFORCED = 1 << 13;
const ABOUT_ENDS = SOURCE_IS_ENDPOINT | DESTINATION_IS_ENDPOINT | TRACKED | ENFORCED;

export function reasonOf(ruling: number): number {
  return ruling & 0xff;
}

/** Is what it is about kept away? */
export function isDenied(ruling: number): boolean {
  return (ruling & 0xff) >= FIRST_DENY && (ruling & AUDITED) === 0;
}

/** Do the policies say less against the one than against the other? A denial says most, one by audited policies alone less, an allowance nothing. */
export function isLess(ruling: number, than: number): boolean {
  return weight(ruling) < weight(than);
}

function weight(ruling: number): number {
  if (reasonOf(ruling) < FIRST_DENY) return 0;
  return (ruling & AUDITED) !== 0 ? 1 : 2;
}

/** As `decide`, for a packet that is OK, with all that came to light. */
export function rule(table: RuleTable, packet: Packet): number {
  return packet.family === 4 ? rule4(table, packet) : rule6(table, packet);
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
 * Where several pods share an address, whoever it may be: what is denied for one of them is denied, what concerns one of them is tracked.
 */
function ruleEach(table: RuleTable, packet: Packet, src: number, dst: number): number {
  if (table.hasTooManySharers(src)) return TRACKED | ENFORCED | SOURCE_IS_ENDPOINT | denial(packet, EGRESS_DENIED);
  if (table.hasTooManySharers(dst))
    return TRACKED | ENFORCED | DESTINATION_IS_ENDPOINT | DENIED_BY_INGRESS | denial(packet, INGRESS_DENIED);
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

/** Of those that say as much the one that a packet between two pods would meet: egress before ingress, a policy's allowance before none. In whatever order the pods are looked at. */
function saysMore(ruling: number, than: number): boolean {
  if (weight(ruling) !== weight(than)) return weight(ruling) > weight(than);
  if (weight(ruling) === 0) return reasonOf(than) === NOT_ISOLATED;
  return (ruling & DENIED_BY_INGRESS) === 0;
}

/** @param src slot of the source, which nobody shares; the same of `dst` */
function rulePods4(table: RuleTable, packet: Packet, src: number, dst: number): number {
  const { src0, dst0, protocol } = packet;
  const ends = endpoints(table, src, dst);
  if (src0 === dst0 || table.samePod(src, dst)) return ends | SAME_POD;
  const isolated = isolation(table, src, dst);
  if (isolated === 0) return ends | NOT_ISOLATED;
  const port = policyPort(packet);
  const told = ends | trackedBy(isolated);
  let audited = 0;
  if ((isolated & EGRESS_ISOLATED) !== 0 && !table.allows4(src, EGRESS, dst, dst0, dst, protocol, port)) {
    if ((isolated & EGRESS_AUDITED) === 0) return told | denial(packet, EGRESS_DENIED);
    audited = AUDITED | denial(packet, EGRESS_DENIED);
  }
  if ((isolated & INGRESS_ISOLATED) !== 0 && !table.allows4(dst, INGRESS, src, src0, dst, protocol, port)) {
    if ((isolated & INGRESS_AUDITED) === 0) return told | DENIED_BY_INGRESS | denial(packet, INGRESS_DENIED);
    if (audited === 0) audited = AUDITED | DENIED_BY_INGRESS | denial(packet, INGRESS_DENIED);
  }
  if (audited !== 0) return told | audited;
  return told | ((isolated & BOTH_ISOLATED) !== 0 ? ALLOWED_BY_POLICY : NOT_ISOLATED);
}

function rulePods6(table: RuleTable, packet: Packet, src: number, dst: number): number {
  const { src0, src1, src2, src3, dst0, dst1, dst2, dst3, protocol } = packet;
  const ends = endpoints(table, src, dst);
  const same = src3 === dst3 && src2 === dst2 && src1 === dst1 && src0 === dst0;
  if (same || table.samePod(src, dst)) return ends | SAME_POD;
  // Only with a hop limit of 255, which no router has passed on: receivers ignore the rest (RFC 4861 section 7.1).
  if (protocol === ICMPV6 && isNeighbourDiscovery(packet.icmpType) && packet.hopLimit === 255) {
    return ends | NEIGHBOUR_DISCOVERY;
  }
  const isolated = isolation(table, src, dst);
  if (isolated === 0) return ends | NOT_ISOLATED;
  const port = policyPort(packet);
  const told = ends | trackedBy(isolated);
  let audited = 0;
  if (
    (isolated & EGRESS_ISOLATED) !== 0 &&
    !table.allows6(src, EGRESS, dst, dst0, dst1, dst2, dst3, dst, protocol, port)
  ) {
    if ((isolated & EGRESS_AUDITED) === 0) return told | denial(packet, EGRESS_DENIED);
    audited = AUDITED | denial(packet, EGRESS_DENIED);
  }
  if (
    (isolated & INGRESS_ISOLATED) !== 0 &&
    !table.allows6(dst, INGRESS, src, src0, src1, src2, src3, dst, protocol, port)
  ) {
    if ((isolated & INGRESS_AUDITED) === 0) return told | DENIED_BY_INGRESS | denial(packet, INGRESS_DENIED);
    if (audited === 0) audited = AUDITED | DENIED_BY_INGRESS | denial(packet, INGRESS_DENIED);
  }
  if (audited !== 0) return told | audited;
  return told | ((isolated & BOTH_ISOLATED) !== 0 ? ALLOWED_BY_POLICY : NOT_ISOLATED);
}

function endpoints(table: RuleTable, src: number, dst: number): number {
  return (table.isEndpoint(src) ? SOURCE_IS_ENDPOINT : 0) | (table.isEndpoint(dst) ? DESTINATION_IS_ENDPOINT : 0);
}

/** How the directions that decide this packet are isolated, two bits each, */
const EGRESS_AUDITED = BY_AUDITED;
const EGRESS_ISOLATED = BY_ENFORCED | BY_AUDITED;
const INGRESS_SHIFT = 2;
const INGRESS_AUDITED = BY_AUDITED << INGRESS_SHIFT;
const INGRESS_ISOLATED = EGRESS_ISOLATED << INGRESS_SHIFT;
const BOTH_ISOLATED = EGRESS_ISOLATED | INGRESS_ISOLATED;
/** and those that decide what comes the other way. */
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

/** The port that a NetworkPolicyPort can allow: -1 for ICMP, whose identifier is none, and for a later fragment. */
function policyPort(packet: Packet): number {
  return hasPorts(packet.protocol) ? packet.dstPort : -1;
}

/** A later fragment is denied because it has no port to compare, whichever side asked for one. */
function denial(packet: Packet, reason: number): number {
  return packet.isLaterFragment && hasPorts(packet.protocol) ? FRAGMENT : reason;
}
