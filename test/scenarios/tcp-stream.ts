/** A TCP connection over which both sides talk. */
import {
  close,
  EAGAIN,
  errno,
  errnoName,
  MSG_NOSIGNAL,
  recv,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  send,
  setsockopt,
} from '../../src/sys/libc.ts';
import { accept, connect, listen, localAddress, resetOnClose } from '../../src/sys/sockets.ts';
import { bindTo, buffer, encoded, MESSAGE, open, ownAddress } from './stream-sockets.ts';
import { type Side, Stream, type StreamOptions } from './streams.ts';

const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

/** A TCP connection. Closing it resets it, so that neither end waits for the other. */
export class TcpStream extends Stream {
  readonly sourcePort: number;
  readonly #client: Connection;
  readonly #listener: number;
  #server: Connection | undefined;

  constructor({ from, to, port, sourcePort = 0, target = { address: to.addresses[0] ?? '', port } }: StreamOptions) {
    super(target);
    const { address } = target;
    this.#listener = open(to, address, SOCK_STREAM);
    bindTo(this.#listener, ownAddress(to, address), port);
    listen(this.#listener, 1);
    const fd = open(from, address, SOCK_STREAM);
    bindTo(fd, ownAddress(from, address), sourcePort);
    this.sourcePort = localAddress(fd).port;
    connect(fd, this.target);
    this.#client = new Connection(fd, this.client);
    this.start();
  }

  protected receiveAll(): void {
    if (!this.#server) {
      const fd = accept(this.#listener, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) this.#server = new Connection(fd, this.server);
    }
    this.#client.receive();
    this.#server?.receive();
    this.ending ??= this.#client.ending ?? this.#server?.ending;
  }

  protected sendBurst(count: number): void {
    this.#client.send(count);
    this.#server?.send(count);
  }

  protected closeSockets(): void {
    this.#client.close();
    this.#server?.close();
    close(this.#listener);
  }
}

/** One end of a TCP connection: messages may be split wherever the kernel splits them. */
class Connection {
  ending: string | undefined;
  readonly #fd: number;
  readonly #side: Side;
  /** Bytes of the last message that the kernel has not accepted yet. */
  #unsent = 0;
  #partial = 0;
  readonly #pending = new Uint8Array(MESSAGE);

  constructor(fd: number, side: Side) {
    this.#fd = fd;
    this.#side = side;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  }

  receive(): void {
    for (;;) {
      const length = recv(this.#fd, buffer, buffer.length, 0);
      if (length <= 0) {
        if (length === 0) this.ending ??= 'closed';
        else if (errno() !== EAGAIN) this.ending ??= errnoName(errno());
        return;
      }
      for (const byte of buffer.subarray(0, length)) {
        this.#pending[this.#partial++] = byte;
        if (this.#partial < MESSAGE) continue;
        this.#partial = 0;
        this.#side.note(new DataView(this.#pending.buffer).getUint32(4));
      }
    }
  }

  send(count: number): void {
    for (let i = 0; i < count; i++) {
      const rest = this.#unsent === 0 ? MESSAGE : this.#unsent;
      const number = this.#unsent === 0 ? this.#side.sent : this.#side.sent - 1;
      const taken = send(this.#fd, encoded(0, number).subarray(MESSAGE - rest), rest, MSG_NOSIGNAL);
      if (taken < 0 && errno() !== EAGAIN) this.ending ??= errnoName(errno());
      if (taken <= 0) return;
      if (this.#unsent === 0) this.#side.sent++;
      this.#unsent = rest - taken;
    }
  }

  close(): void {
    resetOnClose(this.#fd);
    close(this.#fd);
  }
}
