/** How long the flow table keeps a flow without packets. */
import * as states from './states.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/** All in ms, from 1 s to 20 days: the coarse clock is an int32 that wraps. */
export interface Timeouts {
  readonly tcpSynSent: number;
  readonly tcpSynReceived: number;
  readonly tcpEstablished: number;
  readonly tcpHalfClosed: number;
  readonly tcpClosing: number;
  readonly tcpTimeWait: number;
  readonly tcpClosed: number;
  readonly udpUnreplied: number;
  readonly udpReplied: number;
  readonly icmp: number;
  readonly sctpHandshake: number;
  readonly sctpEstablished: number;
  readonly sctpShutdown: number;
  readonly sctpClosed: number;
  readonly other: number;
}

/**
 * The kernel's defaults: `tcp_timeouts`, `udp_timeouts`, `nf_ct_icmp_timeout`, `sctp_timeouts` and
 * `nf_ct_generic_timeout` in net/netfilter/nf_conntrack_proto_*.c. Three are longer. The kernel
 * picks up a TCP connection that it has forgotten, but podfence denies packets of unknown flows, so
 * a timeout must outlast every silence of a healthy connection.
 */
export const DEFAULT_TIMEOUTS: Timeouts = {
  tcpSynSent: 2 * MINUTE,
  tcpSynReceived: 1 * MINUTE,
  tcpEstablished: 5 * DAY,
  /** RFC 5382 REQ-5; kernel: 2 minutes, and 1 once the FIN is acknowledged. */
  tcpHalfClosed: 4 * MINUTE,
  tcpClosing: 30 * SECOND,
  tcpTimeWait: 2 * MINUTE,
  tcpClosed: 10 * SECOND,
  udpUnreplied: 30 * SECOND,
  udpReplied: 2 * MINUTE,
  icmp: 30 * SECOND,
  /**
   * RTO.Max (RFC 9260 section 16), the longest wait between two retransmissions; kernel: 3 seconds.
   */
  sctpHandshake: 1 * MINUTE,
  sctpEstablished: 210 * SECOND,
  /** As `sctpHandshake`. */
  sctpShutdown: 1 * MINUTE,
  sctpClosed: 10 * SECOND,
  other: 10 * MINUTE,
};

/** Returns the timeouts by state number. Throws RangeError if one is out of bounds. */
export function timeoutsByState(overrides: Partial<Timeouts>): Int32Array {
  const timeouts = { ...DEFAULT_TIMEOUTS, ...overrides };
  for (const [name, value] of Object.entries(timeouts)) {
    if (!(value >= SECOND && value <= 20 * DAY))
      throw new RangeError(`timeout ${name}: ${value} ms is not between 1 s and 20 days`);
  }
  const byState = new Int32Array(1 << states.STATE_BITS);
  byState[states.TCP_SYN_SENT] = timeouts.tcpSynSent;
  byState[states.TCP_SYN_RECEIVED] = timeouts.tcpSynReceived;
  byState[states.TCP_ESTABLISHED] = timeouts.tcpEstablished;
  byState[states.TCP_HALF_CLOSED_BY_OPENER] = timeouts.tcpHalfClosed;
  byState[states.TCP_HALF_CLOSED_BY_OTHER] = timeouts.tcpHalfClosed;
  byState[states.TCP_CLOSING] = timeouts.tcpClosing;
  byState[states.TCP_TIME_WAIT] = timeouts.tcpTimeWait;
  byState[states.TCP_CLOSED] = timeouts.tcpClosed;
  byState[states.UDP_UNREPLIED] = timeouts.udpUnreplied;
  byState[states.UDP_REPLIED] = timeouts.udpReplied;
  byState[states.ICMP_UNREPLIED] = timeouts.icmp;
  byState[states.ICMP_REPLIED] = timeouts.icmp;
  byState[states.SCTP_INIT_SENT] = timeouts.sctpHandshake;
  byState[states.SCTP_COOKIE_ECHOED] = timeouts.sctpHandshake;
  byState[states.SCTP_ESTABLISHED] = timeouts.sctpEstablished;
  byState[states.SCTP_SHUTDOWN] = timeouts.sctpShutdown;
  byState[states.SCTP_CLOSED] = timeouts.sctpClosed;
  byState[states.OTHER_UNREPLIED] = timeouts.other;
  byState[states.OTHER_REPLIED] = timeouts.other;
  return byState;
}
