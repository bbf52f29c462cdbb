/** A TCP connection that stays open while policies change, to see how a change affects it. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  close,
  EAGAIN,
  EINPROGRESS,
  errno,
  errnoName,
  MSG_NOSIGNAL,
  recv,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  send,
  socket,
} from '../sys/libc.ts';
import { connect, familyOf, socketAddress } from '../sys/sockets.ts';
import type { LabHost } from './lab.ts';

/** Milliseconds between two looks at the socket. */
const TICK = 2;
const LINE_END = 0x0a;

const buffer = new Uint8Array(65_536);

/** A TCP connection to a listener of the lab, which answers each message with a line. */
export class TcpStream implements Disposable {
  readonly #fd: number;
  #sent = 0;
  #answered = 0;
  #error: string | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Connects to an address of a pod or Service. Rejects if that takes longer than `timeout` ms or
   * is refused.
   */
  static async open(from: LabHost, address: string, port: number, timeout = 3000): Promise<TcpStream> {
    const stream = new TcpStream(startConnecting(from, address, port));
    if (await stream.exchange(timeout)) return stream;
    stream.close();
    throw new Error(`no TCP connection from ${from.name} to ${address} port ${port}: ${stream.#error ?? 'no answer'}`);
  }

  /**
   * Sends one more message. Returns whether its answer came within `timeout` ms. TCP itself
   * retransmits unanswered messages.
   */
  async exchange(timeout = 1000): Promise<boolean> {
    const message = new TextEncoder().encode(`message ${++this.#sent}\n`);
    const number = this.#sent;
    const deadline = performance.now() + timeout;
    let unsent = true;
    while (this.#answered < number && this.#error === undefined && performance.now() < deadline) {
      if (unsent) unsent = this.#send(message);
      this.#receive();
      if (this.#answered < number) await delay(TICK);
    }
    return this.#answered >= number;
  }

  /** Why the connection ended, if it did: a symbolic errno, or `closed`. */
  get error(): string | undefined {
    return this.#error;
  }

  close(): void {
    close(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Returns whether the message is still to be sent because the connection is not open yet. */
  #send(message: Uint8Array): boolean {
    if (send(this.#fd, message, message.length, MSG_NOSIGNAL) >= 0) return false;
    if (errno() !== EAGAIN) this.#error = errnoName(errno());
    return true;
  }

  #receive(): void {
    const length = recv(this.#fd, buffer, buffer.length, 0);
    if (length > 0) this.#answered += buffer.subarray(0, length).filter((byte) => byte === LINE_END).length;
    else if (length === 0) this.#error ??= 'closed';
    else if (errno() !== EAGAIN) this.#error ??= errnoName(errno());
  }
}

function startConnecting(from: LabHost, address: string, port: number): number {
  const fd = from.netns.run(() => socket(familyOf(address), SOCK_STREAM | SOCK_NONBLOCK, 0));
  if (connect(fd, socketAddress(address, port)) === 0 || errno() === EINPROGRESS) return fd;
  const code = errnoName(errno());
  close(fd);
  throw new Error(`no TCP connection from ${from.name} to ${address} port ${port}: ${code}`);
}
