/**
 * Packet sockets (packet(7), linux/if_packet.h): they send frames in batches, each behind a virtio
 * header, and receive UDP the same way.
 *
 * libpcap falls short at both. Its pcap_sendpacket takes one frame per call, refuses frames longer
 * than the MTU, and cannot ask the kernel to finish checksums or to cut segments. On receipt it
 * does not report where to cut a frame of several UDP datagrams (UDP_SEGMENT), and the frame's own
 * headers do not say either.
 */

import { incomingUdp } from '../capture/packet-filter.ts';
import {
  errno,
  MSG_DONTWAIT,
  type PinnedMemory,
  pinnedMemory,
  recvmmsg,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
  SystemCallError,
  setsockopt,
  socket,
} from '../sys/libc.ts';
import { libcFunction } from '../sys/native.ts';
import { attachFilter } from '../sys/socket-filter.ts';
import { VNET_HEADER } from './vnet-header.ts';

const AF_PACKET = 17;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const SO_SNDBUFFORCE = 32;
const ETH_P_ALL = 0x0003;
const SEND_BUFFER = 1 << 24;
const RECEIVE_BUFFER = 1 << 24;
const SO_RCVBUFFORCE = 33;

const c_bind = libcFunction('int bind(int fd, const void *address, uint32_t length)');
const c_sendmmsg = libcFunction('int sendmmsg(int fd, void *messages, unsigned int count, int flags)');

/** Most frames of one batch. */
export const BATCH = 64;

/** Layouts of x86-64 and arm64: see sys/libc.ts. */
const MMSGHDR = 64;
const MMSGHDR_IOV = 16;
const MMSGHDR_IOV_COUNT = 24;
const MMSGHDR_LENGTH = 56;
const IOVEC = 16;
/** `struct sockaddr_ll`: u16 family, u16 protocol, int32 ifindex, … */
const SOCKADDR_LL = 20;

/** Sends frames from pinned memory on any interface of the calling thread's network namespace. */
export class FrameSender {
  readonly #fd: number;
  readonly #messages = pinnedMemory(BATCH * MMSGHDR);
  readonly #parts = pinnedMemory(2 * BATCH * IOVEC);
  readonly #targets = pinnedMemory(BATCH * SOCKADDR_LL);
  readonly #headers = pinnedMemory(BATCH * 16);
  readonly #messageView = new DataView(this.#messages.buffer);
  readonly #partView = new DataView(this.#parts.buffer);
  readonly #targetView = new DataView(this.#targets.buffer);
  /** The virtio header of the next frame belongs here, at `headerAt`. */
  readonly headers = new DataView(this.#headers.buffer);
  #count = 0;
  /** Frames that the kernel took; `refused` counts the others. */
  sent = 0;
  refused = 0;
  /** errno of the last refusal. */
  error = 0;

  /** @throws SystemCallError EPERM without CAP_NET_RAW */
  constructor() {
    this.#fd = socket(AF_PACKET, SOCK_RAW, 0);
    setsockopt(this.#fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    setsockopt(this.#fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER);
    for (let i = 0; i < BATCH; i++) {
      const message = i * MMSGHDR;
      this.#messageView.setBigUint64(message, this.#targets.address + BigInt(i * SOCKADDR_LL), true);
      this.#messageView.setUint32(message + 8, SOCKADDR_LL, true);
      this.#messageView.setBigUint64(message + MMSGHDR_IOV, this.#parts.address + BigInt(2 * i * IOVEC), true);
      this.#messageView.setBigUint64(message + MMSGHDR_IOV_COUNT, 2n, true);
      this.#partView.setBigUint64(2 * i * IOVEC, this.#headers.address + BigInt(i * 16), true);
      this.#partView.setBigUint64(2 * i * IOVEC + 8, BigInt(VNET_HEADER), true);
      this.#targetView.setUint16(i * SOCKADDR_LL, AF_PACKET, true);
    }
  }

  get headerAt(): number {
    return this.#count * 16;
  }

  get isFull(): boolean {
    return this.#count === BATCH;
  }

  /**
   * Queues a frame whose virtio header is already written. Its memory must not change until
   * `flush`.
   */
  add(memory: { readonly address: bigint }, offset: number, length: number, interfaceIndex: number): void {
    const part = (2 * this.#count + 1) * IOVEC;
    this.#partView.setBigUint64(part, memory.address + BigInt(offset), true);
    this.#partView.setUint32(part + 8, length, true);
    this.#targetView.setInt32(this.#count * SOCKADDR_LL + 4, interfaceIndex, true);
    this.#count++;
  }

  /**
   * Sends the queued frames. If the kernel refuses one (its interface is gone or down, no memory),
   * the others are still sent.
   */
  flush(): void {
    let done = 0;
    while (done < this.#count) {
      const address = this.#messages.address + BigInt(done * MMSGHDR);
      const sent: number = c_sendmmsg(this.#fd, address, this.#count - done, 0);
      if (sent > 0) {
        this.sent += sent;
        done += sent;
      } else {
        this.error = errno();
        this.refused++;
        done++;
      }
    }
    this.#count = 0;
  }
}

/** Bytes for one received frame: the longest IP packet with its link and virtio headers. */
const SLOT = (1 << 16) + 256;
const RECEIVED = 16;

/** Receives UDP from some interfaces, each frame behind a virtio header. */
export class UdpReceiver {
  readonly fd: number;
  readonly memory: PinnedMemory = pinnedMemory(RECEIVED * SLOT);
  readonly view = new DataView(this.memory.buffer);
  readonly #messages = pinnedMemory(RECEIVED * MMSGHDR);
  readonly #parts = pinnedMemory(RECEIVED * IOVEC);
  readonly #sources = pinnedMemory(RECEIVED * SOCKADDR_LL);
  readonly #messageView = new DataView(this.#messages.buffer);
  readonly #sourceView = new DataView(this.#sources.buffer);

  readonly #instructions: PinnedMemory;

  /** @param most the largest number of interfaces that `listen` may get */
  constructor(most: number) {
    this.#instructions = pinnedMemory(incomingUdp(new Array(most).fill(0)).byteLength);
    this.fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    setsockopt(this.fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
    this.listen([]);
    const address = new DataView(new ArrayBuffer(SOCKADDR_LL));
    address.setUint16(0, AF_PACKET, true);
    address.setUint16(2, ETH_P_ALL);
    if (c_bind(this.fd, address, SOCKADDR_LL) < 0) throw new SystemCallError('bind', errno());
    const parts = new DataView(this.#parts.buffer);
    for (let i = 0; i < RECEIVED; i++) {
      const message = i * MMSGHDR;
      this.#messageView.setBigUint64(message, this.#sources.address + BigInt(i * SOCKADDR_LL), true);
      this.#messageView.setBigUint64(message + MMSGHDR_IOV, this.#parts.address + BigInt(i * IOVEC), true);
      this.#messageView.setBigUint64(message + MMSGHDR_IOV_COUNT, 1n, true);
      parts.setBigUint64(i * IOVEC, this.memory.address + BigInt(i * SLOT), true);
      parts.setBigUint64(i * IOVEC + 8, BigInt(SLOT), true);
    }
  }

  /** Receives from these interfaces, given by index, from now on. */
  listen(interfaces: readonly number[]): void {
    attachFilter(this.fd, incomingUdp(interfaces), this.#instructions);
  }

  /** Receives the frames that have arrived, without waiting. Returns how many. */
  receive(): number {
    for (let i = 0; i < RECEIVED; i++) this.#messageView.setUint32(i * MMSGHDR + 8, SOCKADDR_LL, true);
    return Math.max(0, recvmmsg(this.fd, this.#messages.address, RECEIVED, MSG_DONTWAIT, null));
  }

  /** Returns the offset in `view` of frame `i`'s virtio header; the frame follows it. */
  headerAt(i: number): number {
    return i * SLOT;
  }

  /** Returns the length of frame `i` in bytes, without the virtio header. */
  lengthOf(i: number): number {
    return this.#messageView.getUint32(i * MMSGHDR + MMSGHDR_LENGTH, true) - VNET_HEADER;
  }

  /** Returns the index of the interface that frame `i` arrived on. */
  interfaceOf(i: number): number {
    return this.#sourceView.getInt32(i * SOCKADDR_LL + 4, true);
  }
}
