/**
 * Builds the first packet of a connection, and the answer to it, so that they can be judged without
 * being sent. Headers only, with consistent lengths and checksums of 0, which no verdict depends
 * on.
 */
import { ACK, ICMP, ICMPV6, SCTP, SCTP_INIT, SCTP_INIT_ACK, SYN, TCP } from './protocols.ts';

export interface Endpoints {
  /** One int32 word for IPv4, four for IPv6, the same number on both sides. */
  readonly source: readonly number[];
  readonly destination: readonly number[];
  /**
   * IANA number: TCP, UDP or SCTP. `openingPacket` also takes ICMP and ICMPv6, with the identifier
   * in `sourcePort`.
   */
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** Returns a SYN, a UDP datagram, an INIT or an echo request. */
export function openingPacket(endpoints: Endpoints): DataView {
  return build(endpoints, SYN, SCTP_INIT);
}

/** Returns the answer to `openingPacket(endpoints)`: SYN with ACK, a UDP datagram or INIT ACK. */
export function answeringPacket({ source, destination, protocol, sourcePort, destinationPort }: Endpoints): DataView {
  const back = { source: destination, destination: source, sourcePort: destinationPort, destinationPort: sourcePort };
  return build({ ...back, protocol }, SYN | ACK, SCTP_INIT_ACK);
}

const TCP_LENGTH = 20;
/** A UDP header; an echo request without data is as long. */
const UDP_LENGTH = 8;
const SCTP_LENGTH = 16;
/** Message types (RFC 792, RFC 4443). */
const ECHO_REQUEST = 8;
const ECHO_REQUEST6 = 128;

function build(endpoints: Endpoints, tcpFlags: number, sctpChunk: number): DataView {
  const { source, destination, protocol, sourcePort, destinationPort } = endpoints;
  const length = protocol === TCP ? TCP_LENGTH : protocol === SCTP ? SCTP_LENGTH : UDP_LENGTH;
  const start = source.length === 1 ? 20 : 40;
  const view = new DataView(new ArrayBuffer(start + length));
  if (source.length === 1) writeIpv4(view, protocol);
  else writeIpv6(view, protocol, length);
  for (const [i, word] of [...source, ...destination].entries()) {
    view.setInt32(start - 4 * (2 * source.length - i), word);
  }
  if (protocol === ICMP || protocol === ICMPV6) {
    view.setUint8(start, protocol === ICMP ? ECHO_REQUEST : ECHO_REQUEST6);
    view.setUint16(start + 4, sourcePort);
    return view;
  }
  view.setUint16(start, sourcePort);
  view.setUint16(start + 2, destinationPort);
  if (protocol === TCP) {
    view.setUint8(start + 12, (TCP_LENGTH / 4) << 4);
    view.setUint8(start + 13, tcpFlags);
  } else if (protocol === SCTP) {
    view.setUint8(start + 12, sctpChunk);
    view.setUint16(start + 14, 4);
  } else {
    view.setUint16(start + 4, UDP_LENGTH);
  }
  return view;
}

/** Writes an IPv4 header (RFC 791 section 3.1) without its addresses. */
function writeIpv4(view: DataView, protocol: number): void {
  view.setUint8(0, 0x45);
  view.setUint16(2, view.byteLength);
  view.setUint8(8, 64);
  view.setUint8(9, protocol);
}

/** Writes an IPv6 header (RFC 8200 section 3) without its addresses. */
function writeIpv6(view: DataView, protocol: number, payloadLength: number): void {
  view.setUint8(0, 0x60);
  view.setUint16(4, payloadLength);
  view.setUint8(6, protocol);
  view.setUint8(7, 64);
}
