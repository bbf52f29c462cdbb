/**
 * Connections that stay open while policies change. Both sides send numbered messages all the time, so that a test can say which of them
 * arrived: those sent before a change, those sent after it, or all of them without a gap.
 *
 * The sockets are this process's own, made in the namespaces of their pods, and served from its event loop. So "sent after the change is
 * in force" needs no comparing of clocks: it is every number from the moment on at which the test goes on.
 */
import type { LabHost } from '../../src/lab/lab.ts';
import {
  close,
  EAGAIN,
  errno,
  errnoName,
  MSG_NOSIGNAL,
  recv,
  SO_RCVBUFFORCE,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  send,
  setsockopt,
  socket,
} from '../../src/sys/libc.ts';
import {
  accept,
  connect,
  EADDRINUSE,
  familyOf,
  listen,
  localAddress,
  peerAddress,
  receiveFrom,
  resetOnClose,
  sendTo,
  socketAddress,
  tryBind,
} from '../../src/sys/sockets.ts';

const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const RECEIVE_BUFFER = 4 << 20;
/** How often the sockets are served, in ms, and how many messages each side then sends. */
const TICK = 1;
const BURST = 2;
const MESSAGE = 8;
/** How long a message may take that must arrive, in ms: longer than TCP's retransmissions after a cut. */
const PATIENCE = 8000;
/** How long nothing may arrive where nothing must, in ms: some hundred messages from each side. */
const WATCH = 300;

/** One side of a stream. */
export class Side {
  /** Messages sent so far: the number of the next one. */
  sent = 0;
  /** How often each of the other side's messages arrived. */
  readonly received: number[] = [];
  arrivals = 0;

  /** How many different messages from number `first` on arrived. */
  receivedFrom(first: number): number {
    let count = 0;
    for (let number = first; number < this.received.length; number++) if (this.received[number]) count++;
    return count;
  }

  /** Which of the first `sent` messages of the other side did not arrive. */
  missing(sent: number): readonly number[] {
    const numbers: number[] = [];
    for (let number = 0; number < sent; number++) if (!this.received[number]) numbers.push(number);
    return numbers;
  }

  note(number: number): void {
    this.received[number] = (this.received[number] ?? 0) + 1;
    this.arrivals++;
  }
}

/** A moment in a stream: the numbers of the next messages. */
export interface Moment {
  readonly fromClient: number;
  readonly fromServer: number;
}

/** How many messages went through, each way. */
export interface Passage {
  readonly toServer: number;
  readonly toClient: number;
}

/** The numbers of messages that did not arrive. */
export interface Losses {
  readonly toServer: readonly number[];
  readonly toClient: readonly number[];
}

export interface StreamOptions {
  readonly from: LabHost;
  readonly to: LabHost;
  /** Of the server, where nothing of the lab listens. */
  readonly port: number;
  /** Of the client. @default any */
  readonly sourcePort?: number;
  /** Where the client sends to. @default the server's first address, and its port */
  readonly target?: Target;
}

export interface Target {
  readonly address: string;
  readonly port: number;
}

let streams = 0;

export abstract class Stream implements Disposable {
  readonly client = new Side();
  readonly server = new Side();
  /** What ended it, as far as one of the sides was told: ECONNRESET, … */
  ending: string | undefined;
  protected readonly id = ++streams;
  protected readonly target: Uint8Array;
  protected paused = false;
  readonly #timer: NodeJS.Timeout;

  protected constructor({ address, port }: Target) {
    this.target = socketAddress(address, port);
    this.#timer = setInterval(() => this.#serve(), TICK);
  }

  /** Numbers from here on are of messages that are yet to be sent. */
  moment(): Moment {
    return { fromClient: this.client.sent, fromServer: this.server.sent };
  }

  /** What has arrived of the messages sent since. */
  passedSince({ fromClient, fromServer }: Moment): Passage {
    return { toServer: this.server.receivedFrom(fromClient), toClient: this.client.receivedFrom(fromServer) };
  }

  /** Resolves when messages that are sent from now on arrive at both sides. */
  async flows(count = 20): Promise<void> {
    const since = this.moment();
    await this.#until(`messages both ways since ${JSON.stringify(since)}`, () => {
      const { toServer, toClient } = this.passedSince(since);
      return toServer >= count && toClient >= count;
    });
  }

  /**
   * What arrives of the messages that both sides send from now on, within the window in which it would. The one place where a test can only
   * wait and see: that nothing comes is no event.
   */
  async watch(): Promise<Passage> {
    const since = this.moment();
    await new Promise((resolve) => setTimeout(resolve, WATCH));
    return this.passedSince(since);
  }

  /** Lets what is under way arrive, and gives back the numbers of all messages since the beginning that did not. */
  async lost(): Promise<Losses> {
    this.paused = true;
    const lost = () => ({
      toServer: this.server.missing(this.client.sent),
      toClient: this.client.missing(this.server.sent),
    });
    await this.#until('all messages', () => Object.values(lost()).flat().length === 0).catch(() => undefined);
    this.paused = false;
    return lost();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.closeSockets();
  }

  protected abstract receiveAll(): void;
  protected abstract sendBurst(count: number): void;
  protected abstract closeSockets(): void;

  #serve(): void {
    this.receiveAll();
    if (!this.paused) this.sendBurst(BURST);
  }

  /** Checked whenever the sockets were served. */
  #until(what: string, holds: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const failing = setTimeout(() => {
      const { client, server, ending } = this;
      const state = `client sent ${client.sent} got ${client.arrivals}, server sent ${server.sent} got ${server.arrivals}`;
      reject(new Error(`waited in vain for ${what}: ${state}, ended by ${ending ?? 'nobody'}`));
    }, PATIENCE);
    const checking = setInterval(() => {
      if (holds()) resolve();
    }, TICK);
    return promise.finally(() => {
      clearTimeout(failing);
      clearInterval(checking);
    });
  }
}

const buffer = new Uint8Array(65_536);
const bufferView = new DataView(buffer.buffer);
const message = new Uint8Array(MESSAGE);
const messageView = new DataView(message.buffer);

/** A message is the stream's id and its own number. A datagram of a stream that was closed may still come to the next one. */
function encoded(stream: number, number: number): Uint8Array {
  messageView.setUint32(0, stream);
  messageView.setUint32(4, number);
  return message;
}

function open(host: LabHost, address: string, type: number): number {
  const fd = host.netns.run(() => socket(familyOf(address), type | SOCK_NONBLOCK, 0));
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
  if (type === SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  return fd;
}

function bindTo(fd: number, address: string, port: number): void {
  if (tryBind(fd, socketAddress(address, port)) === 0) return;
  const code = errno() === EADDRINUSE ? `${port} is taken` : errnoName(errno());
  close(fd);
  throw new Error(`binding to ${address}: ${code}`);
}

function ownAddress({ addresses }: LabHost, target: string): string {
  const address = addresses.find((each) => familyOf(each) === familyOf(target));
  if (address === undefined) throw new Error('no address of the family');
  return address;
}

/**
 * A client that sends datagrams, and a server that sends as many on its own once it has heard of the client; from the beginning where the
 * client's port is given.
 */
export class UdpStream extends Stream {
  readonly sourcePort: number;
  readonly #client: number;
  readonly #server: number;
  /** Whom the server sends to. */
  #peer: Uint8Array | undefined;

  constructor({ from, to, port, sourcePort = 0, target = { address: to.addresses[0] ?? '', port } }: StreamOptions) {
    super(target);
    const { address } = target;
    this.#client = open(from, address, SOCK_DGRAM);
    bindTo(this.#client, ownAddress(from, address), sourcePort);
    this.sourcePort = localAddress(this.#client).port;
    this.#server = open(to, address, SOCK_DGRAM);
    bindTo(this.#server, ownAddress(to, address), port);
    if (sourcePort !== 0) this.#peer = socketAddress(ownAddress(from, address), sourcePort);
  }

  override async watch(): Promise<Passage> {
    const since = this.moment();
    const passage = await super.watch();
    const wasSilent = this.client.sent === since.fromClient || (this.#peer && this.server.sent === since.fromServer);
    if (wasSilent) throw new Error('nothing was sent while nothing was to arrive');
    return passage;
  }

  protected receiveAll(): void {
    while (receiveFrom(this.#client, buffer, 0) >= MESSAGE) {
      if (bufferView.getUint32(0) === this.id) this.client.note(bufferView.getUint32(4));
    }
    while (receiveFrom(this.#server, buffer, 0) >= MESSAGE) {
      if (bufferView.getUint32(0) !== this.id) continue;
      this.#peer ??= peerAddress.slice(0, this.target.length);
      this.server.note(bufferView.getUint32(4));
    }
  }

  protected sendBurst(count: number): void {
    for (let i = 0; i < count; i++) {
      if (sendTo(this.#client, encoded(this.id, this.client.sent), 0, this.target) > 0) this.client.sent++;
      if (this.#peer && sendTo(this.#server, encoded(this.id, this.server.sent), 0, this.#peer) > 0) this.server.sent++;
    }
  }

  protected closeSockets(): void {
    close(this.#client);
    close(this.#server);
  }
}

/** A TCP connection; closing it resets it, so that no end waits for the other. */
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

/** One end of a TCP connection: messages in, messages out, cut where the kernel cuts them. */
class Connection {
  ending: string | undefined;
  readonly #fd: number;
  readonly #side: Side;
  /** Bytes of the last message that the kernel has not taken yet. */
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
