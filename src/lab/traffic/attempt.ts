/** One attempt to open a connection: its socket, its packets, its answer. */
import { EPOLLIN, EPOLLOUT, type Epoll } from '../../sys/epoll.ts';
import {
  EAGAIN,
  EINPROGRESS,
  errno,
  errnoName,
  MSG_NOSIGNAL,
  recv,
  SO_REUSEADDR,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  send,
  setsockopt,
  socket,
} from '../../sys/libc.ts';
import { connect, EADDRINUSE, familyOf, socketAddress, socketError, tryBind } from '../../sys/sockets.ts';
import { initiateTag, parseAnswer, requestText } from './answer.ts';
import type { AttemptOutcome, AttemptSpec } from './messages.ts';
import type { SctpSockets } from './sctp-socket.ts';

const buffer = new Uint8Array(2048);
const decoder = new TextDecoder('latin1');
const encoder = new TextEncoder();
const FIRST_RESEND = 250;

export class Attempt {
  readonly spec: AttemptSpec;
  sourcePort = 0;
  /** Whether it has ended, by an answer or an error. */
  ended = false;
  answered = false;
  delivered = false;
  /** When we last sent a packet, in ms of the caller's clock. */
  sentAt = 0;
  #detail = 'no answer';
  #fd = -1;
  #resends = 0;
  readonly #epoll: Epoll;
  readonly #sctp: SctpSockets;

  constructor(spec: AttemptSpec, epoll: Epoll, sctp: SctpSockets) {
    this.spec = spec;
    this.#epoll = epoll;
    this.#sctp = sctp;
  }

  /** Sends the first packet. The calling thread must be in the source's namespace. */
  start(nextPort: () => number, now: number): void {
    this.sentAt = now;
    if (this.spec.protocol === 'SCTP') this.#startSctp(nextPort());
    else this.#startSocket(nextPort);
  }

  /**
   * When to retransmit a packet, for protocols that do not do so themselves: after 250 ms, then
   * twice as long each time.
   */
  get resendAt(): number {
    if (this.ended || this.spec.protocol === 'TCP' || !this.spec.expectAnswer) return Number.POSITIVE_INFINITY;
    return this.sentAt + FIRST_RESEND * 2 ** this.#resends;
  }

  resend(now: number): void {
    this.#resends++;
    this.sentAt = now;
    if (this.spec.protocol === 'SCTP') this.#sendInit();
    else this.#sendRequest();
  }

  finish(): AttemptOutcome {
    this.#release();
    const { id } = this.spec;
    const { sourcePort, answered, delivered } = this;
    return { id, sourcePort, answered, delivered: delivered || answered, detail: this.#detail };
  }

  #startSctp(port: number): void {
    this.sourcePort = port;
    this.#sctp.expect(initiateTag(this.spec.id), (cookie) => this.#hear(cookie));
    this.#sendInit();
  }

  #sendInit(): void {
    const { netns, target, port, id } = this.spec;
    this.#sctp.sendInit(netns, target, this.sourcePort, port, initiateTag(id));
  }

  #startSocket(nextPort: () => number): void {
    const { spec } = this;
    const stream = spec.protocol === 'TCP';
    this.#fd = socket(familyOf(spec.target), (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0);
    // One source port may serve connections to several destinations at once.
    setsockopt(this.#fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!this.#bindFresh(nextPort) || !this.#connect()) {
      this.#fail();
      return;
    }
    this.#epoll.add(this.#fd, stream ? EPOLLOUT : EPOLLIN, (events) => this.#ready(events));
    if (!stream) this.#sendRequest();
  }

  #bindFresh(nextPort: () => number): boolean {
    for (let tries = 0; tries < this.spec.sourcePorts.count; tries++) {
      this.sourcePort = nextPort();
      if (tryBind(this.#fd, socketAddress(this.spec.source, this.sourcePort)) === 0) return true;
      if (errno() !== EADDRINUSE) return false;
    }
    return false;
  }

  #connect(): boolean {
    return connect(this.#fd, socketAddress(this.spec.target, this.spec.port)) === 0 || errno() === EINPROGRESS;
  }

  #ready(events: number): void {
    if (this.ended) return;
    if (events & EPOLLOUT) this.#connected();
    else this.#receive();
  }

  #connected(): void {
    const error = socketError(this.#fd);
    if (error !== 0) {
      this.#end(errnoName(error));
      return;
    }
    this.#epoll.modify(this.#fd, EPOLLIN);
    this.#sendRequest();
  }

  #receive(): void {
    const length = recv(this.#fd, buffer, buffer.length, 0);
    if (length > 0) this.#hear(decoder.decode(buffer.subarray(0, length)));
    else if (length === 0) this.#end('closed without an answer');
    else if (errno() !== EAGAIN) this.#fail();
  }

  #sendRequest(): void {
    const request = encoder.encode(requestText(this.spec.id));
    if (send(this.#fd, request, request.length, MSG_NOSIGNAL) < 0 && errno() !== EAGAIN) this.#fail();
  }

  #hear(text: string): void {
    const answer = parseAnswer(text);
    this.answered = answer?.speaker === this.spec.speaker;
    if (!answer) this.#end('answered by something other than a lab listener');
    else if (!this.answered) this.#end(`answered by ${answer.speaker}`);
    else this.#end(`seen as ${answer.peer}`);
  }

  #fail(): void {
    this.#end(errnoName(errno()));
  }

  #end(detail: string): void {
    this.ended = true;
    this.#detail = detail;
    this.#release();
  }

  #release(): void {
    if (this.spec.protocol === 'SCTP') this.#sctp.ignore(initiateTag(this.spec.id));
    if (this.#fd < 0) return;
    this.#epoll.close(this.#fd);
    this.#fd = -1;
  }
}
