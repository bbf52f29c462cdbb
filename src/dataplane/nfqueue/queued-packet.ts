/**
 * Reads NFQNL_MSG_PACKET in place (linux/netfilter/nfnetlink_queue.h): behind nlmsghdr and
 * nfgenmsg, only the attributes that a verdict needs.
 *
 *     NFQA_PACKET_HDR   { be32 packet_id; be16 hw_protocol; u8 hook } packed
 *     NFQA_MARK         be32, absent if the packet's mark is 0
 *     NFQA_CAP_LEN      be32 the packet's length, present if the payload was cut to the copy range
 *     NFQA_PAYLOAD      the packet from its IP header on
 */
import {
  NFNL_SUBSYS_QUEUE,
  NFQA_CAP_LEN,
  NFQA_MARK,
  NFQA_PACKET_HDR,
  NFQA_PAYLOAD,
  NFQNL_MSG_PACKET,
  NLA_TYPE_MASK,
} from '../../netlink/constants.ts';
import { NFGENMSG_LEN, NLA_HDRLEN, NLMSG_HDRLEN } from '../../netlink/message.ts';

const PACKET_MESSAGE = (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET;

/** One reused record: `read` overwrites it and allocates nothing. */
export class QueuedPacket {
  /** The kernel's id of the packet, for its verdict. An int32. */
  id = 0;
  mark = 0;
  /** Where the packet starts in the view, and how many of its bytes are there. */
  payloadOffset = 0;
  payloadLength = 0;
  /** The whole packet's length in bytes. */
  totalLength = 0;

  /**
   * Reads one netlink message at [offset, end). Returns false if it does not carry a packet with an
   * id; such a message needs no verdict. Never throws and never reads past `end`. A packet without
   * payload gets payloadLength 0, and the filter denies it.
   */
  read(view: DataView, offset: number, end: number): boolean {
    if (offset + NLMSG_HDRLEN + NFGENMSG_LEN > end) return false;
    const messageLength = view.getUint32(offset, true);
    if (view.getUint16(offset + 4, true) !== PACKET_MESSAGE || messageLength > end - offset) return false;
    this.mark = 0;
    this.payloadOffset = offset;
    this.payloadLength = 0;
    this.totalLength = -1;
    let identified = false;
    const last = offset + messageLength - NLA_HDRLEN;
    for (let at = offset + NLMSG_HDRLEN + NFGENMSG_LEN; at <= last; ) {
      const length = view.getUint16(at, true);
      if (length < NLA_HDRLEN || at + length > offset + messageLength) break;
      const value = at + NLA_HDRLEN;
      switch (view.getUint16(at + 2, true) & NLA_TYPE_MASK) {
        case NFQA_PACKET_HDR:
          if (length < NLA_HDRLEN + 4) return false;
          this.id = view.getInt32(value, false);
          identified = true;
          break;
        case NFQA_MARK:
          if (length >= NLA_HDRLEN + 4) this.mark = view.getInt32(value, false);
          break;
        case NFQA_CAP_LEN:
          if (length >= NLA_HDRLEN + 4) this.totalLength = view.getInt32(value, false);
          break;
        case NFQA_PAYLOAD:
          this.payloadOffset = value;
          this.payloadLength = length - NLA_HDRLEN;
          break;
      }
      at += (length + 3) & ~3;
    }
    if (this.totalLength < this.payloadLength) this.totalLength = this.payloadLength;
    return identified;
  }
}
