/**
 * Protocol numbers (https://www.iana.org/assignments/protocol-numbers), named as in linux/in.h and
 * linux/in6.h without the prefix.
 */
export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ICMPV6 = 58;
export const SCTP = 132;

/**
 * IPv6 extension headers (RFC 8200 section 4, RFC 4302). ESP and "no next header" end the chain and
 * count as the protocol.
 */
export const HOP_BY_HOP = 0;
export const ROUTING = 43;
export const FRAGMENT_HEADER = 44;
export const AUTHENTICATION = 51;
export const DESTINATION_OPTIONS = 60;

/** Flags of TCP (RFC 9293 section 3.1). */
export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const ACK = 0x10;

/** Chunk types of SCTP (RFC 9260 section 3.2). */
export const SCTP_INIT = 1;
export const SCTP_INIT_ACK = 2;
export const SCTP_ABORT = 6;
export const SCTP_SHUTDOWN = 7;
export const SCTP_SHUTDOWN_ACK = 8;
export const SCTP_COOKIE_ECHO = 10;
export const SCTP_COOKIE_ACK = 11;
export const SCTP_SHUTDOWN_COMPLETE = 14;

/** Whether a NetworkPolicy can name ports of the protocol. */
export function hasPorts(protocol: number): boolean {
  return protocol === TCP || protocol === UDP || protocol === SCTP;
}
