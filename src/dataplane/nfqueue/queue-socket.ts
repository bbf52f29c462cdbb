/**
 * One kernel queue (NFQUEUE) bound to one socket of the calling thread: one `recvmmsg` receives a
 * batch of packets, one `send` returns their verdicts. The kernel structures are written once, into
 * memory that never moves:
 *
 *     struct pollfd  { int fd; short events; short revents }     8 bytes, two: socket, wake-up
 *     struct mmsghdr { struct msghdr; unsigned length at 56 }    64 bytes
 *       struct msghdr { …; iov pointer at 16, iov count at 24 }  56 bytes
 *     struct iovec   { void *base; size_t length }               16 bytes
 */

import {
  NETLINK_NO_ENOBUFS,
  NFNL_SUBSYS_QUEUE,
  NFQA_CFG_CMD,
  NFQA_CFG_F_FAIL_OPEN,
  NFQA_CFG_F_GSO,
  NFQA_CFG_FLAGS,
  NFQA_CFG_MASK,
  NFQA_CFG_PARAMS,
  NFQA_CFG_QUEUE_MAXLEN,
  NFQNL_CFG_CMD_BIND,
  NFQNL_COPY_PACKET,
  NFQNL_MSG_CONFIG,
  NLM_F_ACK,
  NLM_F_REQUEST,
  SOL_NETLINK,
} from '../../netlink/constants.ts';
import { MessageWriter } from '../../netlink/message.ts';
import { NetlinkSocket } from '../../netlink/socket.ts';
import {
  EAGAIN,
  EINTR,
  ENOBUFS,
  errno,
  MSG_DONTWAIT,
  POLLIN,
  pinnedMemory,
  poll,
  read,
  recvmmsg,
  SystemCallError,
  send,
  setsockopt,
} from '../../sys/libc.ts';
import type { VerdictBatch } from './verdict-batch.ts';

/** Most packets of one batch. */
export const BATCH = 64;
/**
 * Bytes of a packet that the kernel copies: enough for every header that is judged, including those
 * that an ICMP error quotes.
 */
const COPY_RANGE = 128;
/** Most packets that wait in the kernel. */
export const QUEUE_LENGTH = 16_384;

/** Bytes for one message: headers and attributes take under 200 beside the copied range. */
const MESSAGE_LENGTH = 512;
const POLLFD_LENGTH = 8;
const MMSGHDR_LENGTH = 64;
const IOVEC_LENGTH = 16;
const MMSGHDR_RECEIVED = 56;
/** Bytes for a full queue of packets with the kernel's own bookkeeping for each. */
const RECEIVE_BUFFER = 64 << 20;

export class QueueSocket {
  /** The messages of a batch, MESSAGE_LENGTH bytes apart. */
  readonly view: DataView;
  /** Closing it gives the queue up: the kernel drops what waits in it. */
  readonly fd: number;
  readonly #netlink: NetlinkSocket;
  readonly #wake: number;
  readonly #headers: DataView;
  readonly #headersAddress: bigint;
  readonly #pollAddress: bigint;
  readonly #poll: Int16Array;
  readonly #wakeCount = new Uint8Array(8);

  /**
   * Binds queue `number` in the calling thread's network namespace. Throws NetlinkError EPERM
   * without CAP_NET_ADMIN, or if another process has bound the queue.
   * @param wake an eventfd; writing to it ends `wait`
   * @param failOpen whether packets pass when the queue is full, instead of being dropped
   */
  constructor(number: number, wake: number, failOpen: boolean) {
    this.#wake = wake;
    this.#netlink = new NetlinkSocket(RECEIVE_BUFFER);
    try {
      setsockopt(this.#netlink.fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
      configure(this.#netlink, number, failOpen);
    } catch (error) {
      this.#netlink.close();
      throw error;
    }
    this.fd = this.#netlink.fd;
    const messages = pinnedMemory(BATCH * MESSAGE_LENGTH);
    const iovecs = pinnedMemory(BATCH * IOVEC_LENGTH);
    const headers = pinnedMemory(BATCH * MMSGHDR_LENGTH);
    const descriptors = pinnedMemory(2 * POLLFD_LENGTH);
    this.view = new DataView(messages.buffer);
    this.#headers = new DataView(headers.buffer);
    this.#headersAddress = headers.address;
    this.#pollAddress = descriptors.address;
    this.#poll = new Int16Array(descriptors.buffer);
    const vectors = new DataView(iovecs.buffer);
    for (let i = 0; i < BATCH; i++) {
      vectors.setBigUint64(i * IOVEC_LENGTH, messages.address + BigInt(i * MESSAGE_LENGTH), true);
      vectors.setBigUint64(i * IOVEC_LENGTH + 8, BigInt(MESSAGE_LENGTH), true);
      this.#headers.setBigUint64(i * MMSGHDR_LENGTH + 16, iovecs.address + BigInt(i * IOVEC_LENGTH), true);
      this.#headers.setBigUint64(i * MMSGHDR_LENGTH + 24, 1n, true);
    }
    const poll32 = new Int32Array(descriptors.buffer);
    poll32[0] = this.#netlink.fd;
    poll32[2] = wake;
    this.#poll[2] = POLLIN;
    this.#poll[6] = POLLIN;
  }

  /**
   * Waits for a packet or the wake-up, which it resets. False if neither came within `timeout` ms.
   */
  wait(timeout: number): boolean {
    const ready = poll(this.#pollAddress, 2, timeout);
    if (ready > 0 && this.#poll[7] !== 0) read(this.#wake, this.#wakeCount, 8);
    return ready !== 0;
  }

  /**
   * Receives the messages that have arrived, BATCH at most, without waiting. Returns how many.
   * Throws SystemCallError only if the socket itself is broken.
   */
  receive(): number {
    const count = recvmmsg(this.#netlink.fd, this.#headersAddress, BATCH, MSG_DONTWAIT, null);
    if (count >= 0) return count;
    const error = errno();
    if (error === EAGAIN || error === EINTR || error === ENOBUFS) return 0;
    throw new SystemCallError('recvmmsg', error);
  }

  /** Where message `index` of the batch starts in `view`. */
  messageStart(index: number): number {
    return index * MESSAGE_LENGTH;
  }

  /** Where message `index` of the batch ends in `view`. */
  messageEnd(index: number): number {
    return index * MESSAGE_LENGTH + this.#headers.getInt32(index * MMSGHDR_LENGTH + MMSGHDR_RECEIVED, true);
  }

  /**
   * Sends the verdicts. When this returns, the kernel has carried out all of them; false if the
   * kernel had no memory for that.
   */
  answer(verdicts: VerdictBatch): boolean {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (send(this.#netlink.fd, verdicts.bytes, verdicts.length, 0) >= 0) return true;
    }
    return false;
  }
}

function configure(netlink: NetlinkSocket, number: number, failOpen: boolean): void {
  const flags = NFQA_CFG_F_GSO | (failOpen ? NFQA_CFG_F_FAIL_OPEN : 0);
  const params = new Uint8Array(5);
  new DataView(params.buffer).setUint32(0, COPY_RANGE, false);
  params[4] = NFQNL_COPY_PACKET;
  const writer = new MessageWriter();
  const begin = (sequence: number) =>
    writer.begin(NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG, NLM_F_REQUEST | NLM_F_ACK, sequence, 0, number);
  begin(1).attribute(NFQA_CFG_CMD, Uint8Array.of(NFQNL_CFG_CMD_BIND, 0, 0, 0));
  begin(2).attribute(NFQA_CFG_PARAMS, params);
  begin(3).be32(NFQA_CFG_QUEUE_MAXLEN, QUEUE_LENGTH);
  begin(4).be32(NFQA_CFG_FLAGS, flags).be32(NFQA_CFG_MASK, flags);
  netlink.request(`binding queue ${number}`, writer, 4);
}
