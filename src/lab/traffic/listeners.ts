/** The listening sockets. An answer names the pod and the peer's address as the pod sees it. */
import { EPOLLIN, type Epoll } from '../../sys/epoll.ts';
import {
  bind,
  close,
  MSG_NOSIGNAL,
  recv,
  SO_RCVBUFFORCE,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  SystemCallError,
  send,
  setsockopt,
  socket,
} from '../../sys/libc.ts';
import { runInNetns } from '../../sys/netns.ts';
import {
  accept,
  familyOf,
  listen,
  parseSocketAddress,
  peerAddress,
  receiveFrom,
  type SocketAddress,
  sendTo,
  socketAddress,
} from '../../sys/sockets.ts';
import { answerText, httpAnswer, isHttp, parseInitiateTag, parseRequest } from './answer.ts';
import type { ListenFailure, ListenSpec } from './messages.ts';
import type { SctpSockets } from './sctp-socket.ts';

const BACKLOG = 4096;
const RECEIVE_BUFFER = 4 << 20;

const buffer = new Uint8Array(65_536);
const decoder = new TextDecoder('latin1');
const encoder = new TextEncoder();

/** Receives everything that arrives; `id` is the attempt's id once its request was read. */
export interface ArrivalObserver {
  arrived(listener: ListenSpec, peer: SocketAddress, id: number | undefined): void;
}

export class Listeners {
  readonly #epoll: Epoll;
  readonly #sctp: SctpSockets;
  readonly #observer: ArrivalObserver;
  readonly #open = new Map<string, { readonly spec: ListenSpec; readonly close: () => void }>();

  constructor(epoll: Epoll, sctp: SctpSockets, observer: ArrivalObserver) {
    this.#epoll = epoll;
    this.#sctp = sctp;
    this.#observer = observer;
  }

  /** Opens a listener; returns the failure if it could not be opened. */
  open(spec: ListenSpec): ListenFailure | undefined {
    const key = `${spec.netns} ${spec.protocol} ${spec.address} ${spec.port}`;
    // The kernel would accept it: SO_REUSEADDR lets UDP sockets share a listener's port.
    if (this.#open.has(key)) return { spec, code: 'EADDRINUSE' };
    try {
      const close = spec.protocol === 'SCTP' ? this.#openSctp(spec) : this.#openSocket(spec);
      this.#open.set(key, { spec, close });
      return undefined;
    } catch (error) {
      if (error instanceof SystemCallError) return { spec, code: error.code };
      throw error;
    }
  }

  /** Closes the listeners that `concerns` selects. */
  close(concerns: (spec: ListenSpec) => boolean): void {
    for (const [key, { spec, close }] of this.#open) {
      if (!concerns(spec)) continue;
      close();
      this.#open.delete(key);
    }
  }

  #openSctp(spec: ListenSpec): () => void {
    const { netns, address, port } = spec;
    this.#sctp.listen(netns, address, port, (peer, peerPort, tag) =>
      this.#answer(spec, peer, peerPort, parseInitiateTag(tag)),
    );
    return () => this.#sctp.unlisten(netns, address, port);
  }

  #openSocket(spec: ListenSpec): () => void {
    const stream = spec.protocol === 'TCP';
    const fd = runInNetns(spec.netns, () =>
      socket(familyOf(spec.address), (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0),
    );
    try {
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (!stream) setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
      bind(fd, socketAddress(spec.address, spec.port));
      if (stream) listen(fd, BACKLOG);
    } catch (error) {
      close(fd);
      throw error;
    }
    this.#epoll.add(fd, EPOLLIN, stream ? () => this.#accept(fd, spec) : () => this.#receive(fd, spec));
    return () => this.#epoll.close(fd);
  }

  #accept(listener: number, spec: ListenSpec): void {
    for (;;) {
      const fd = accept(listener, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const peer = parseSocketAddress(peerAddress);
      this.#observer.arrived(spec, peer, undefined);
      this.#epoll.add(fd, EPOLLIN, () => this.#converse(fd, spec, peer));
    }
  }

  /** Answers each chunk of data, until the peer closes. */
  #converse(fd: number, spec: ListenSpec, peer: SocketAddress): void {
    const length = recv(fd, buffer, buffer.length, 0);
    if (length <= 0) {
      this.#epoll.close(fd);
      return;
    }
    const request = decoder.decode(buffer.subarray(0, length));
    const answer = this.#answer(spec, peer.address, peer.port, parseRequest(request));
    const http = isHttp(request);
    const bytes = encoder.encode(http ? httpAnswer(answer) : answer);
    send(fd, bytes, bytes.length, MSG_NOSIGNAL);
    if (http) this.#epoll.close(fd);
  }

  #receive(fd: number, spec: ListenSpec): void {
    for (let length = receiveFrom(fd, buffer, 0); length >= 0; length = receiveFrom(fd, buffer, 0)) {
      const to = peerAddress.slice();
      const peer = parseSocketAddress(to);
      const id = parseRequest(decoder.decode(buffer.subarray(0, length)));
      sendTo(fd, encoder.encode(this.#answer(spec, peer.address, peer.port, id)), 0, to);
    }
  }

  #answer(spec: ListenSpec, peer: string, peerPort: number, id: number | undefined): string {
    this.#observer.arrived(spec, { address: peer, port: peerPort }, id);
    return answerText({ speaker: spec.speaker, peer, peerPort });
  }
}
