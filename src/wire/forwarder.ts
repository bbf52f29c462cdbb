/**
 * Sends allowed frames on at the far end of a wire, and finishes what their sender left to a
 * network card: checksums and segmentation.
 */

import type { Interface } from '../capture/interfaces.ts';
import type { LinkFrame } from '../frames/link-frame.ts';
import type { FrameCounters } from '../judging/frame-counters.ts';
import { IPV6_HEADER, POSITION_SHIFT, walkExtensions } from '../packet/ipv6-extensions.ts';
import type { Packet } from '../packet/packet.ts';
import { SCTP, TCP, UDP } from '../packet/protocols.ts';
import { type PinnedMemory, pinnedMemory } from '../sys/libc.ts';
import { FrameSender } from './packet-socket.ts';
import { PathMtu } from './path-mtu.ts';
import { finishChecksum, partsOf, SCTP_HEADER } from './sctp-packets.ts';
import { tcpHeaderLength, VNET_HEADER, writeOffloads, writePlain } from './vnet-header.ts';

/**
 * Bytes for frames that are not sent from where they were captured. A frame cut into parts always
 * fits.
 */
const SCRATCH = 1 << 18;

/** Memory that contains a frame. */
export interface FrameMemory {
  readonly view: DataView;
  readonly address: bigint;
}

export class Forwarder {
  readonly paths = new PathMtu();
  readonly #sender = new FrameSender();
  readonly #counters: FrameCounters;
  readonly #scratch: FrameMemory & { readonly bytes: Uint8Array } = viewed(pinnedMemory(SCRATCH));
  #scratchEnd = 0;

  constructor(counters: FrameCounters) {
    this.#counters = counters;
  }

  /** Sends a frame as it is. */
  send(memory: FrameMemory, offset: number, length: number, to: Interface): void {
    if (this.#sender.isFull) this.flush();
    writePlain(this.#sender.headers, this.#sender.headerAt);
    this.#sender.add(memory, offset, length, to.index);
  }

  /** Sends a frame with the virtio header that it was received with. */
  sendReceived(memory: FrameMemory, header: number, length: number, to: Interface): void {
    if (this.#sender.isFull) this.flush();
    const { headers, headerAt } = this.#sender;
    headers.setBigUint64(headerAt, memory.view.getBigUint64(header));
    headers.setUint16(headerAt + 8, memory.view.getUint16(header + 8));
    // Keep only NEEDS_CSUM: the other flags are for receivers.
    headers.setUint8(headerAt, headers.getUint8(headerAt) & 1);
    this.#sender.add(memory, header + VNET_HEADER, length, to.index);
  }

  /** Copies the bytes and sends the copy. The caller may reuse `bytes` at once. */
  sendCopy(bytes: Uint8Array, to: Interface): void {
    const at = this.#reserve(bytes.length);
    this.#scratch.bytes.set(bytes, at);
    this.send(this.#scratch, at, bytes.length, to);
  }

  /**
   * Sends the frame with the IP packet that was decoded last. `mtu` is the MTU of the interface
   * that it came in on.
   */
  sendIp(
    memory: FrameMemory,
    offset: number,
    length: number,
    frame: LinkFrame,
    packet: Packet,
    mtu: number,
    to: Interface,
    now: number,
  ): void {
    const ip = frame.payload;
    const ipLength = ipLengthOf(memory.view, frame, packet);
    const isTooLong = ipLength > to.mtu;
    const transport = transportOf(memory.view, frame, packet);
    if (packet.isFragment || (packet.protocol !== TCP && packet.protocol !== UDP && packet.protocol !== SCTP)) {
      if (isTooLong) this.#counters.count('tooLong');
      else this.send(memory, offset, length, to);
      return;
    }
    if (packet.protocol === SCTP) {
      this.#sendSctp(memory, offset, length, frame, packet, transport, ip + ipLength, to);
      return;
    }
    let segmentSize = 0;
    if (isTooLong && packet.protocol === TCP) {
      const longest = this.paths.towards(packet, Math.min(mtu, to.mtu), now);
      segmentSize = longest - (transport - ip) - tcpHeaderLength(memory.view, transport);
    }
    if (isTooLong && segmentSize <= 0) {
      this.#counters.count('tooLong');
      return;
    }
    if (this.#sender.isFull) this.flush();
    const { headers, headerAt } = this.#sender;
    writeOffloads(headers, headerAt, memory.view, offset, transport, ip + ipLength - transport, packet, segmentSize);
    // The link's padding must not end up in a segment.
    this.#sender.add(memory, offset, segmentSize > 0 ? ip + ipLength - offset : length, to.index);
  }

  /** Hands all frames to the kernel. Their memory may be overwritten afterwards. */
  flush(): void {
    const { sent, refused } = this.#sender;
    this.#sender.flush();
    this.#scratchEnd = 0;
    this.#counters.count('sent', this.#sender.sent - sent);
    this.#counters.count('refused', this.#sender.refused - refused);
  }

  #sendSctp(
    memory: FrameMemory,
    offset: number,
    length: number,
    frame: LinkFrame,
    packet: Packet,
    transport: number,
    end: number,
    to: Interface,
  ): void {
    const { view } = memory;
    const headers = transport - frame.payload;
    if (end - frame.payload <= to.mtu) {
      finishChecksum(view, transport, end - transport);
      this.send(memory, offset, length, to);
      return;
    }
    const parts = partsOf(view, transport, end - transport, to.mtu - headers);
    if (parts === undefined) {
      this.#counters.count('tooLong');
      return;
    }
    const head = transport + SCTP_HEADER - offset;
    let start = transport + SCTP_HEADER;
    for (const [i, partEnd] of parts.entries()) {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, head);
      const at = this.#reserve(head + partEnd - start);
      this.#scratch.bytes.set(bytes, at);
      this.#scratch.bytes.set(new Uint8Array(view.buffer, view.byteOffset + start, partEnd - start), at + head);
      const ip = at + frame.payload - offset;
      writeIpLength(this.#scratch.view, ip, packet.family, headers + SCTP_HEADER + partEnd - start, i);
      this.#scratch.view.setUint32(ip + headers + 8, 0);
      finishChecksum(this.#scratch.view, ip + headers, SCTP_HEADER + partEnd - start);
      this.send(this.#scratch, at, head + partEnd - start, to);
      start = partEnd;
    }
  }

  /** Reserves `length` bytes of scratch memory until the next flush. Returns their offset. */
  #reserve(length: number): number {
    if (this.#scratchEnd + length > SCRATCH || this.#sender.isFull) this.flush();
    const at = this.#scratchEnd;
    this.#scratchEnd += length;
    return at;
  }
}

export function viewed(memory: PinnedMemory): FrameMemory & { readonly bytes: Uint8Array } {
  return { view: new DataView(memory.buffer), address: memory.address, bytes: new Uint8Array(memory.buffer) };
}

/** Returns the offset of the header behind all IP headers, for a decoded packet that has one. */
export function transportOf(view: DataView, frame: LinkFrame, packet: Packet): number {
  const ip = frame.payload;
  if (packet.family === 4) return ip + ((view.getUint8(ip) & 15) << 2);
  return ip + (walkExtensions(view, ip, frame.captured, view.getUint8(ip + 6)) >> POSITION_SHIFT);
}

/**
 * Returns the IP packet's length without the link's padding. packet/decode.ts explains a length
 * field of 0.
 */
function ipLengthOf(view: DataView, frame: LinkFrame, packet: Packet): number {
  if (packet.family === 4) return view.getUint16(frame.payload + 2) || frame.captured;
  const payload = view.getUint16(frame.payload + 4);
  return payload === 0 ? frame.captured : IPV6_HEADER + payload;
}

/**
 * Writes the length of part number `part`; for IPv4 also an identification of its own and the
 * header checksum.
 */
function writeIpLength(view: DataView, ip: number, family: number, length: number, part: number): void {
  if (family === 6) {
    view.setUint16(ip + 4, length - IPV6_HEADER);
    return;
  }
  view.setUint16(ip + 2, length);
  view.setUint16(ip + 4, (view.getUint16(ip + 4) + part) & 0xffff);
  view.setUint16(ip + 10, 0);
  let sum = 0;
  for (let at = ip; at < ip + ((view.getUint8(ip) & 15) << 2); at += 2) sum += view.getUint16(at);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(ip + 10, ~(sum + (sum >>> 16)) & 0xffff);
}
