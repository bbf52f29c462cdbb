/**
 * One entry of the kernel's connection table, read from a ctnetlink message
 * (linux/netfilter/nfnetlink_conntrack.h):
 *
 *     CTA_TUPLE_ORIG   nested, as the opener sent it, before NAT:
 *                        CTA_TUPLE_IP { addresses }, CTA_TUPLE_PROTO { number, ports or ICMP id }
 *     CTA_TUPLE_REPLY  the same for replies: its source is where NAT sent the connection
 *     CTA_PROTOINFO    nested, for TCP: CTA_PROTOINFO_TCP { CTA_PROTOINFO_TCP_STATE u8,
 *                        CTA_PROTOINFO_TCP_FLAGS_ORIGINAL { u8 flags, u8 mask } }
 *     CTA_MARK         be32
 *     CTA_ZONE         be16, absent for zone 0
 *
 * Policies apply after Service DNAT and before masquerade. So in its opening direction the forward
 * hook sees the flow go from the original source to the source of the replies.
 */

import {
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_IP_V6_DST,
  CTA_IP_V6_SRC,
  CTA_MARK,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_ICMP_ID,
  CTA_PROTO_ICMP_TYPE,
  CTA_PROTO_ICMPV6_ID,
  CTA_PROTO_ICMPV6_TYPE,
  CTA_PROTO_NUM,
  CTA_PROTO_SRC_PORT,
  CTA_PROTOINFO,
  CTA_PROTOINFO_TCP,
  CTA_PROTOINFO_TCP_FLAGS_ORIGINAL,
  CTA_PROTOINFO_TCP_STATE,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_PROTO,
  CTA_TUPLE_REPLY,
  CTA_ZONE,
  IP_CT_TCP_FLAG_BE_LIBERAL,
  IP_CT_TCP_FLAG_WINDOW_SCALE,
  TCP_CONNTRACK_LAST_ACK,
} from '../../netlink/constants.ts';
import { eachAttribute } from '../../netlink/message.ts';
import { OK, type Packet } from '../../packet/packet.ts';
import { AF_INET, AF_INET6 } from '../../sys/libc.ts';

interface Tuple {
  readonly source: Int32Array;
  readonly destination: Int32Array;
  protocol: number;
  sourcePort: number;
  destinationPort: number;
  icmpType: number;
}

function emptyTuple(): Tuple {
  const tuple = { protocol: 0, sourcePort: -1, destinationPort: -1, icmpType: -1 };
  return { ...tuple, source: new Int32Array(4), destination: new Int32Array(4) };
}

/** One reused record: `read` overwrites it. */
export class KernelFlow {
  family: 4 | 6 = 4;
  mark = 0;
  /** A TCP connection that both sides have closed, and that the kernel only remembers. */
  isOver = false;
  /**
   * A TCP connection whose beginning the kernel did not see. It takes the sender of the first
   * packet that it saw for the opener.
   */
  isPickedUp = false;
  zone: number | undefined;
  readonly #original = emptyTuple();
  readonly #reply = emptyTuple();
  #view: DataView = new DataView(new ArrayBuffer(0));
  #tupleStart = 0;
  #tupleEnd = 0;

  /**
   * Reads the attributes at [start, end) of `view`. Returns false if it is not an IP connection or
   * lacks one of its tuples. Never reads past `end`.
   */
  read(view: DataView, start: number, end: number, family: number): boolean {
    if (family !== AF_INET && family !== AF_INET6) return false;
    this.family = family === AF_INET ? 4 : 6;
    this.mark = 0;
    this.isOver = false;
    this.isPickedUp = false;
    this.zone = undefined;
    this.#view = view;
    let tuples = 0;
    eachAttribute(view, start, end, (type, at, valueEnd) => {
      if (type === CTA_TUPLE_ORIG) {
        this.#tupleStart = at;
        this.#tupleEnd = valueEnd;
        tuples = (tuples & ~1) | (readTuple(this.#original, view, at, valueEnd, this.family) ? 1 : 0);
      } else if (type === CTA_TUPLE_REPLY) {
        tuples = (tuples & ~2) | (readTuple(this.#reply, view, at, valueEnd, this.family) ? 2 : 0);
      } else if (type === CTA_PROTOINFO) {
        this.#readTcp(view, at, valueEnd);
      } else if (type === CTA_MARK && valueEnd - at >= 4) {
        this.mark = view.getInt32(at, false);
      } else if (type === CTA_ZONE && valueEnd - at >= 2) {
        this.zone = view.getUint16(at, false);
      }
    });
    return tuples === 3;
  }

  #readTcp(view: DataView, start: number, end: number): void {
    eachAttribute(view, start, end, (protocol, infoStart, infoEnd) => {
      if (protocol !== CTA_PROTOINFO_TCP) return;
      eachAttribute(view, infoStart, infoEnd, (type, at, valueEnd) => {
        if (valueEnd === at) return;
        const value = view.getUint8(at);
        if (type === CTA_PROTOINFO_TCP_STATE) this.isOver = value >= TCP_CONNTRACK_LAST_ACK;
        else if (type === CTA_PROTOINFO_TCP_FLAGS_ORIGINAL) this.isPickedUp = isPickedUp(value);
      });
    });
  }

  /** Whether this end, as the forward hook sees it, has the address. */
  hasEnd(role: 'opener' | 'other', address: readonly number[]): boolean {
    const { source } = role === 'opener' ? this.#original : this.#reply;
    return address.length === (this.family === 4 ? 1 : 4) && address.every((word, index) => source[index] === word);
  }

  /** Returns a copy of CTA_TUPLE_ORIG's value, by which the kernel finds the entry again. */
  originalTuple(): Uint8Array {
    const { buffer, byteOffset } = this.#view;
    return new Uint8Array(buffer, byteOffset + this.#tupleStart, this.#tupleEnd - this.#tupleStart).slice();
  }

  /**
   * Fills `packet` with the packet that opens this flow, as the forward hook sees it. `packet` must
   * be new, or filled only by this method before.
   */
  opening(packet: Packet): void {
    const { source, sourcePort, protocol, icmpType } = this.#original;
    const { source: destination, sourcePort: destinationPort } = this.#reply;
    packet.status = OK;
    packet.family = this.family;
    packet.protocol = protocol;
    packet.src0 = source[0] ?? 0;
    packet.src1 = source[1] ?? 0;
    packet.src2 = source[2] ?? 0;
    packet.src3 = source[3] ?? 0;
    packet.dst0 = destination[0] ?? 0;
    packet.dst1 = destination[1] ?? 0;
    packet.dst2 = destination[2] ?? 0;
    packet.dst3 = destination[3] ?? 0;
    packet.srcPort = sourcePort;
    packet.dstPort = destinationPort;
    packet.icmpType = icmpType;
  }
}

/**
 * BE_LIBERAL alone does not tell: the kernel also sets it for connections that a flow table or Open
 * vSwitch carries. But it saw the SYN of those, which WINDOW_SCALE shows.
 */
function isPickedUp(flags: number): boolean {
  return (flags & (IP_CT_TCP_FLAG_BE_LIBERAL | IP_CT_TCP_FLAG_WINDOW_SCALE)) === IP_CT_TCP_FLAG_BE_LIBERAL;
}

/** Returns whether the tuple has both addresses of the family. */
function readTuple(tuple: Tuple, view: DataView, start: number, end: number, family: 4 | 6): boolean {
  tuple.source.fill(0);
  tuple.destination.fill(0);
  tuple.protocol = 0;
  tuple.sourcePort = -1;
  tuple.destinationPort = -1;
  tuple.icmpType = -1;
  let ends = 0;
  eachAttribute(view, start, end, (part, partStart, partEnd) => {
    eachAttribute(view, partStart, partEnd, (type, at, valueEnd) => {
      const length = valueEnd - at;
      if (part === CTA_TUPLE_IP) {
        ends |= readAddress(tuple, view, type, at, length, family);
      } else if (part === CTA_TUPLE_PROTO) {
        readProtocol(tuple, view, type, at, length);
      }
    });
  });
  return ends === (SOURCE | DESTINATION);
}

/** Bits that `readAddress` returns. */
const SOURCE = 1;
const DESTINATION = 2;

/** Reads one address. Returns which one it was; 0 if it is not an address of the family. */
function readAddress(tuple: Tuple, view: DataView, type: number, at: number, length: number, family: 4 | 6): number {
  const isSource = type === (family === 4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC);
  const isDestination = type === (family === 4 ? CTA_IP_V4_DST : CTA_IP_V6_DST);
  const words = family === 4 ? 1 : 4;
  if (!(isSource || isDestination) || length >> 2 !== words) return 0;
  const address = isSource ? tuple.source : tuple.destination;
  for (let i = 0; i < words; i++) address[i] = view.getInt32(at + i * 4, false);
  return isSource ? SOURCE : DESTINATION;
}

function readProtocol(tuple: Tuple, view: DataView, type: number, at: number, length: number): void {
  switch (type) {
    case CTA_PROTO_NUM:
      if (length >= 1) tuple.protocol = view.getUint8(at);
      break;
    case CTA_PROTO_SRC_PORT:
      if (length >= 2) tuple.sourcePort = view.getUint16(at, false);
      break;
    case CTA_PROTO_DST_PORT:
      if (length >= 2) tuple.destinationPort = view.getUint16(at, false);
      break;
    case CTA_PROTO_ICMP_ID:
    case CTA_PROTO_ICMPV6_ID:
      if (length >= 2) {
        // As in a decoded packet, the identifier stands for both ports.
        tuple.sourcePort = view.getUint16(at, false);
        tuple.destinationPort = tuple.sourcePort;
      }
      break;
    case CTA_PROTO_ICMP_TYPE:
    case CTA_PROTO_ICMPV6_TYPE:
      if (length >= 1) tuple.icmpType = view.getUint8(at);
      break;
  }
}
