/**
 * The netlink wire format (linux/netlink.h, netlink(7)): messages of attributes, in host byte
 * order, each aligned to 4 bytes. nfnetlink adds a 4-byte header of its own behind the first one
 * and sends most attribute values in network byte order.
 *
 *     struct nlmsghdr   { u32 len; u16 type; u16 flags; u32 seq; u32 pid }         16 bytes
 *     struct nfgenmsg   { u8 family; u8 version; be16 resource }                    4 bytes
 *     struct nlattr     { u16 len; u16 type } value, padded to 4                    4 bytes + value
 */
import { NFNETLINK_V0, NLA_F_NESTED, NLA_TYPE_MASK } from './constants.ts';

export const NLMSG_HDRLEN = 16;
export const NFGENMSG_LEN = 4;
export const NLA_HDRLEN = 4;

/** Rounds up to a multiple of 4. Length fields do not count padding, offsets do. */
export function align4(length: number): number {
  return (length + 3) & ~3;
}

/**
 * Passes each attribute at [start, end) of `view` to `visit`: its type without flags, and where its
 * value begins and ends. Stops at one that is damaged; never reads past `end`.
 */
export function eachAttribute(
  view: DataView,
  start: number,
  end: number,
  visit: (type: number, from: number, to: number) => void,
): void {
  for (let at = start; at + NLA_HDRLEN <= end; ) {
    const length = view.getUint16(at, true);
    if (length < NLA_HDRLEN || at + length > end) return;
    visit(view.getUint16(at + 2, true) & NLA_TYPE_MASK, at + NLA_HDRLEN, at + length);
    at += align4(length);
  }
}

/**
 * Writes consecutive nfnetlink messages into one buffer. For configuration; the packet path only
 * fills in verdicts that were prepared with it.
 */
export class MessageWriter {
  readonly bytes: Uint8Array;
  /** Bytes written so far. */
  length = 0;
  readonly #view: DataView;
  #message = 0;

  /** Throws RangeError when more than `capacity` bytes are written. */
  constructor(capacity = 8192) {
    this.bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.bytes.buffer);
  }

  clear(): this {
    this.length = 0;
    return this;
  }

  /**
   * Starts a message: `subsystem` and `type` as in nfnetlink.h; `family` AF_UNSPEC, AF_INET or
   * AF_INET6; `resource` the queue number, if the subsystem has queues.
   */
  begin(subsystem: number, type: number, flags: number, sequence: number, family = 0, resource = 0): this {
    const view = this.#view;
    this.#message = this.length;
    view.setUint16(this.length + 4, (subsystem << 8) | type, true);
    view.setUint16(this.length + 6, flags, true);
    view.setUint32(this.length + 8, sequence, true);
    view.setUint32(this.length + 12, 0, true);
    view.setUint8(this.length + 16, family);
    view.setUint8(this.length + 17, NFNETLINK_V0);
    view.setUint16(this.length + 18, resource, false);
    this.#grow(NLMSG_HDRLEN + NFGENMSG_LEN);
    return this;
  }

  attribute(type: number, value: Uint8Array): this {
    const at = this.#attributeHeader(type, value.length);
    this.bytes.set(value, at);
    return this;
  }

  be16(type: number, value: number): this {
    const at = this.#attributeHeader(type, 2);
    this.#view.setUint16(at, value, false);
    return this;
  }

  be32(type: number, value: number): this {
    const at = this.#attributeHeader(type, 4);
    this.#view.setInt32(at, value | 0, false);
    return this;
  }

  /** Writes an attribute that contains the attributes that `write` writes. */
  nested(type: number, write: () => void): this {
    const start = this.length;
    this.#attributeHeader(type | NLA_F_NESTED, 0);
    write();
    this.#view.setUint16(start, this.length - start, true);
    return this;
  }

  #attributeHeader(type: number, valueLength: number): number {
    const start = this.length;
    this.#view.setUint16(start, NLA_HDRLEN + valueLength, true);
    this.#view.setUint16(start + 2, type, true);
    this.#grow(NLA_HDRLEN + align4(valueLength));
    return start + NLA_HDRLEN;
  }

  #grow(by: number): void {
    this.length += by;
    if (this.length > this.bytes.length) throw new RangeError(`netlink message longer than ${this.bytes.length} bytes`);
    this.#view.setUint32(this.#message, this.length - this.#message, true);
  }
}
