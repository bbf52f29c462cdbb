/** The far end of a wire: frames that were allowed are sent on, finished where their sender left that to a network card. */

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

/** For frames that are not sent from where they were captured. One and its parts always fit. */
const SCRATCH = 1 << 18;

/** Memory with a frame in it. */
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

  /** Sends a frame that has its virtio header in front, as it was received. */
  sendReceived(memory: FrameMemory, header: number, length: number, to: Interface): void {
    if (this.#sender.isFull) this.flush();
    const { headers, headerAt } = this.#sender;
    headers.setBigUint64(headerAt, memory.view.getBigUint64(header));
    headers.setUint16(headerAt + 8, memory.view.getUint16(header + 8));
    // All other flags are for receivers.
    headers.setUint8(headerAt, headers.getUint8(headerAt) & 1);
    this.#sender.add(memory, header + VNET_HEADER, length, to.index);
  }

  /** Sends bytes that lie elsewhere, and may be gone when this returns. */
  sendCopy(bytes: Uint8Array, to: Interface): void {
    const at = this.#reserve(bytes.length);
    this.#scratch.bytes.set(bytes, at);
    this.send(this.#scratch, at, bytes.length, to);
  }

  /** Sends the frame with an IP packet that was decoded last. `mtu` is that of the interface on which it came. */
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
    // What the link has padded is no part of a segment.
    this.#sender.add(memory, offset, segmentSize > 0 ? ip + ipLength - offset : length, to.index);
  }

  /** Everything is handed to the kernel, and the frames' memory may be written again. */
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

  /** Room for so many bytes, until the next flush. */
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

/** Where the header after all IP headers starts, in a packet that was decoded and has one. */
export function transportOf(view: DataView, frame: LinkFrame, packet: Packet): number {
  const ip = frame.payload;
  if (packet.family === 4) return ip + ((view.getUint8(ip) & 15) << 2);
  return ip + (walkExtensions(view, ip, frame.captured, view.getUint8(ip + 6)) >> POSITION_SHIFT);
}

/** Without what the link has padded; a field of 0 is as packet/decode.ts says. */
function ipLengthOf(view: DataView, frame: LinkFrame, packet: Packet): number {
  if (packet.family === 4) return view.getUint16(frame.payload + 2) || frame.captured;
  const payload = view.getUint16(frame.payload + 4);
  return payload === 0 ? frame.captured : IPV6_HEADER + payload;
}

/** Writes the length of part `part` of a packet, and for IPv4 an identification of its own and the header's checksum. */
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
