/**
 * The states of flows, the events that change them, and how much a flow in each state is worth when
 * the table is full.
 *
 * TCP follows the table of the kernel's nf_conntrack_proto_tcp.c without checking sequence numbers,
 * SCTP that of nf_conntrack_proto_sctp.c. Other protocols only know whether the other side has
 * answered.
 */
import { icmpQuery, QUERY_REPLY } from '../packet/icmp-types.ts';
import type { Packet } from '../packet/packet.ts';
import * as protocols from '../packet/protocols.ts';

export const STATES = [
  'none',
  'tcp-syn-sent',
  'tcp-syn-received',
  'tcp-established',
  /** The opener has sent a FIN, the other side has not. */
  'tcp-half-closed-by-opener',
  'tcp-half-closed-by-other',
  /** Both have sent a FIN. */
  'tcp-closing',
  'tcp-time-wait',
  /** A RST was seen. */
  'tcp-closed',
  'udp-unreplied',
  'udp-replied',
  'icmp-unreplied',
  'icmp-replied',
  'sctp-init-sent',
  'sctp-cookie-echoed',
  'sctp-established',
  'sctp-shutdown',
  'sctp-closed',
  'other-unreplied',
  'other-replied',
] as const;
export type StateName = (typeof STATES)[number];

function code(name: StateName): number {
  return STATES.indexOf(name);
}

export const TCP_SYN_SENT = code('tcp-syn-sent');
export const TCP_SYN_RECEIVED = code('tcp-syn-received');
export const TCP_ESTABLISHED = code('tcp-established');
export const TCP_HALF_CLOSED_BY_OPENER = code('tcp-half-closed-by-opener');
export const TCP_HALF_CLOSED_BY_OTHER = code('tcp-half-closed-by-other');
export const TCP_CLOSING = code('tcp-closing');
export const TCP_TIME_WAIT = code('tcp-time-wait');
export const TCP_CLOSED = code('tcp-closed');
export const UDP_UNREPLIED = code('udp-unreplied');
export const UDP_REPLIED = code('udp-replied');
export const ICMP_UNREPLIED = code('icmp-unreplied');
export const ICMP_REPLIED = code('icmp-replied');
export const SCTP_INIT_SENT = code('sctp-init-sent');
export const SCTP_COOKIE_ECHOED = code('sctp-cookie-echoed');
export const SCTP_ESTABLISHED = code('sctp-established');
export const SCTP_SHUTDOWN = code('sctp-shutdown');
export const SCTP_CLOSED = code('sctp-closed');
export const OTHER_UNREPLIED = code('other-unreplied');
export const OTHER_REPLIED = code('other-replied');

/** A state takes 5 bits. */
export const STATE_BITS = 5;

/** The side of a flow that a packet comes from. */
export const OPENER = 0;
export const OTHER = 1;

/** What a packet does to a flow; 3 bits. */
export const EVENT_TRAFFIC = 0;
/** Asks for a new connection: SYN without ACK, INIT. */
export const EVENT_OPEN = 1;
/** Accepts a new connection: SYN with ACK, INIT ACK. */
export const EVENT_ACCEPT = 2;
/** FIN, SHUTDOWN, SHUTDOWN ACK. */
const EVENT_CLOSE = 3;
/** RST, ABORT, SHUTDOWN COMPLETE. */
const EVENT_RESET = 4;
const EVENT_COOKIE_ECHO = 5;
const EVENT_COOKIE_ACK = 6;
/** Answers a request: an ICMP echo reply. */
export const EVENT_REPLY = 7;

/** Events by the flags byte of TCP. RST takes precedence over SYN, and SYN over FIN. */
const TCP_EVENTS = Uint8Array.from({ length: 256 }, (_, flags) => {
  if ((flags & protocols.RST) !== 0) return EVENT_RESET;
  if ((flags & protocols.SYN) !== 0) return (flags & protocols.ACK) !== 0 ? EVENT_ACCEPT : EVENT_OPEN;
  return (flags & protocols.FIN) !== 0 ? EVENT_CLOSE : EVENT_TRAFFIC;
});

/** Events by SCTP chunk type. */
const SCTP_EVENTS = new Uint8Array(256);
SCTP_EVENTS[protocols.SCTP_INIT] = EVENT_OPEN;
SCTP_EVENTS[protocols.SCTP_INIT_ACK] = EVENT_ACCEPT;
SCTP_EVENTS[protocols.SCTP_ABORT] = EVENT_RESET;
SCTP_EVENTS[protocols.SCTP_SHUTDOWN] = EVENT_CLOSE;
SCTP_EVENTS[protocols.SCTP_SHUTDOWN_ACK] = EVENT_CLOSE;
SCTP_EVENTS[protocols.SCTP_COOKIE_ECHO] = EVENT_COOKIE_ECHO;
SCTP_EVENTS[protocols.SCTP_COOKIE_ACK] = EVENT_COOKIE_ACK;
SCTP_EVENTS[protocols.SCTP_SHUTDOWN_COMPLETE] = EVENT_RESET;

/** Returns what the packet does to its flow. */
export function eventOf(packet: Packet): number {
  if (packet.protocol === protocols.TCP) return TCP_EVENTS[packet.tcpFlags] as number;
  if (packet.protocol === protocols.SCTP) return SCTP_EVENTS[packet.sctpChunk] as number;
  if (packet.icmpType < 0) return EVENT_TRAFFIC;
  return (icmpQuery(packet.protocol, packet.icmpType) & QUERY_REPLY) !== 0 ? EVENT_REPLY : EVENT_TRAFFIC;
}

/**
 * Whether a packet with this event can open a flow of the protocol. TCP and SCTP need a handshake;
 * a reply never opens a flow.
 */
export function opensFlow(protocol: number, event: number): boolean {
  if (protocol === protocols.TCP || protocol === protocols.SCTP) return event === EVENT_OPEN;
  return event !== EVENT_REPLY;
}

/** The state of a flow after the packet that opened it. */
export function openingState(protocol: number): number {
  switch (protocol) {
    case protocols.TCP:
      return TCP_SYN_SENT;
    case protocols.UDP:
      return UDP_UNREPLIED;
    case protocols.SCTP:
      return SCTP_INIT_SENT;
    case protocols.ICMP:
    case protocols.ICMPV6:
      return ICMP_UNREPLIED;
    default:
      return OTHER_UNREPLIED;
  }
}

/** The state of a flow that has seen packets both ways. */
export function settledState(protocol: number): number {
  switch (protocol) {
    case protocols.TCP:
      return TCP_ESTABLISHED;
    case protocols.UDP:
      return UDP_REPLIED;
    case protocols.SCTP:
      return SCTP_ESTABLISHED;
    case protocols.ICMP:
    case protocols.ICMPV6:
      return ICMP_REPLIED;
    default:
      return OTHER_REPLIED;
  }
}

/** Next states, by state, side and event. An event without an entry changes nothing. */
const NEXT = new Uint8Array(1 << (STATE_BITS + 4));
const EVERY_EVENT = [0, 1, 2, 3, 4, 5, 6, 7];
const BOTH_SIDES = [OPENER, OTHER];
for (let index = 0; index < NEXT.length; index++) NEXT[index] = index >> 4;

function move(from: number, sides: readonly number[], events: readonly number[], to: number): void {
  for (const side of sides) for (const event of events) NEXT[(from << 4) | (side << 3) | event] = to;
}

// A SYN of the opener on a live flow is a retransmission and changes nothing (the kernel ignores
// it, and the receiver answers with a challenge ACK, RFC 5961). A SYN of the other side is never a
// reply; the filter judges it first. On a flow that has seen a FIN or a RST, a SYN opens a new
// flow; see `canReopen`.
// Simultaneous open: RFC 9293 figure 7.
move(TCP_SYN_SENT, [OTHER], [EVENT_ACCEPT, EVENT_OPEN], TCP_SYN_RECEIVED);
move(TCP_SYN_RECEIVED, [OPENER], [EVENT_TRAFFIC], TCP_ESTABLISHED);
for (const open of [TCP_SYN_RECEIVED, TCP_ESTABLISHED]) {
  move(open, [OPENER], [EVENT_CLOSE], TCP_HALF_CLOSED_BY_OPENER);
  move(open, [OTHER], [EVENT_CLOSE], TCP_HALF_CLOSED_BY_OTHER);
}
move(TCP_HALF_CLOSED_BY_OPENER, [OTHER], [EVENT_CLOSE], TCP_CLOSING);
move(TCP_HALF_CLOSED_BY_OTHER, [OPENER], [EVENT_CLOSE], TCP_CLOSING);
move(TCP_CLOSING, BOTH_SIDES, [EVENT_TRAFFIC], TCP_TIME_WAIT);
// A RST closes the flow, but later packets still pass and keep it alive. Sequence numbers are not
// checked, so a RST that the receiver ignores (RFC 5961) must not cut a connection that goes on.
for (let state = TCP_SYN_SENT; state <= TCP_TIME_WAIT; state++) move(state, BOTH_SIDES, [EVENT_RESET], TCP_CLOSED);

move(UDP_UNREPLIED, [OTHER], EVERY_EVENT, UDP_REPLIED);
move(ICMP_UNREPLIED, [OTHER], EVERY_EVENT, ICMP_REPLIED);
move(OTHER_UNREPLIED, [OTHER], EVERY_EVENT, OTHER_REPLIED);

// If both sides opened at once, either may echo the cookie and acknowledge it (RFC 9260 section
// 5.2.1).
move(SCTP_INIT_SENT, BOTH_SIDES, [EVENT_COOKIE_ECHO], SCTP_COOKIE_ECHOED);
move(SCTP_COOKIE_ECHOED, BOTH_SIDES, [EVENT_COOKIE_ACK], SCTP_ESTABLISHED);
move(SCTP_COOKIE_ECHOED, [OTHER], [EVENT_TRAFFIC], SCTP_ESTABLISHED);
move(SCTP_ESTABLISHED, BOTH_SIDES, [EVENT_CLOSE], SCTP_SHUTDOWN);
for (let state = SCTP_INIT_SENT; state <= SCTP_SHUTDOWN; state++) move(state, BOTH_SIDES, [EVENT_RESET], SCTP_CLOSED);

/** Returns the state of a flow after a packet of `side` (OPENER or OTHER). */
export function nextState(state: number, side: number, event: number): number {
  return NEXT[(state << 4) | (side << 3) | event] as number;
}

/** Whether a SYN or INIT on a flow in this state opens a new flow. */
export function canReopen(state: number): boolean {
  return (
    (state >= TCP_HALF_CLOSED_BY_OPENER && state <= TCP_CLOSED) || state === SCTP_SHUTDOWN || state === SCTP_CLOSED
  );
}

/**
 * What a flow is worth. The table evicts from the front of this list. Evicting a finished flow
 * costs nothing. Unreplied flows are what a flood consists of. Revoked flows must outlast those, or
 * the other side could bring a denied flow back. A replied flow is a working connection.
 */
export const WORTHS = ['closing', 'unreplied', 'revoked', 'replied'] as const;
export type Worth = (typeof WORTHS)[number];
const WORTH_CLOSING = 0;
const WORTH_UNREPLIED = 1;
export const WORTH_REVOKED = 2;
const WORTH_REPLIED = 3;

export function worthOf(state: number): number {
  switch (state) {
    case TCP_CLOSING:
    case TCP_TIME_WAIT:
    case TCP_CLOSED:
    case SCTP_SHUTDOWN:
    case SCTP_CLOSED:
      return WORTH_CLOSING;
    case TCP_SYN_SENT:
    case TCP_SYN_RECEIVED:
    case UDP_UNREPLIED:
    case ICMP_UNREPLIED:
    case SCTP_INIT_SENT:
    case SCTP_COOKIE_ECHOED:
    case OTHER_UNREPLIED:
      return WORTH_UNREPLIED;
    default:
      return WORTH_REPLIED;
  }
}
