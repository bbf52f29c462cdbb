/**
 * SCTP over raw sockets, one per namespace and family. Answers INITs to listening ports, and passes
 * INIT ACKs to the attempts that wait for them. A kernel with its own SCTP would answer the same
 * packets with an ABORT, so ABORTs are dropped before they leave the namespace.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { EPOLLIN, type Epoll } from '../../sys/epoll.ts';
import {
  AF_INET,
  AF_INET6,
  SO_RCVBUFFORCE,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
  setsockopt,
  socket,
} from '../../sys/libc.ts';
import { runInNetns } from '../../sys/netns.ts';
import {
  familyOf,
  IPPROTO_SCTP,
  parseSocketAddress,
  peerAddress,
  receiveFrom,
  sendTo,
  socketAddress,
} from '../../sys/sockets.ts';
import { decodeSctp, encodeSctp, INIT, INIT_ACK, type SctpPacket } from './sctp-chunk.ts';

const RECEIVE_BUFFER = 4 << 20;
const buffer = new Uint8Array(2048);

/**
 * Returns the cookie's text to answer an INIT to a listening port; `tag` is the INIT's initiate
 * tag.
 */
export type SctpListener = (peer: string, peerPort: number, tag: number) => string;

export class SctpSockets {
  readonly #epoll: Epoll;
  readonly #sockets = new Map<string, number>();
  readonly #listeners = new Map<string, SctpListener>();
  readonly #waiting = new Map<number, (cookie: string) => void>();

  constructor(epoll: Epoll) {
    this.#epoll = epoll;
  }

  listen(netns: number, address: string, port: number, listener: SctpListener): void {
    this.#open(netns, familyOf(address));
    this.#listeners.set(`${netns} ${familyOf(address)} ${port}`, listener);
  }

  unlisten(netns: number, address: string, port: number): void {
    this.#listeners.delete(`${netns} ${familyOf(address)} ${port}`);
  }

  /** Sends an INIT with the initiate tag `tag`. */
  sendInit(netns: number, target: string, sourcePort: number, port: number, tag: number): void {
    const init: SctpPacket = {
      sourcePort,
      destinationPort: port,
      verificationTag: 0,
      chunk: INIT,
      initiateTag: tag,
      cookie: '',
    };
    sendTo(this.#open(netns, familyOf(target)), encodeSctp(init), 0, socketAddress(target, 0));
  }

  /** Calls `answered` with the cookie of every INIT ACK to `tag`, until `ignore(tag)`. */
  expect(tag: number, answered: (cookie: string) => void): void {
    this.#waiting.set(tag, answered);
  }

  ignore(tag: number): void {
    this.#waiting.delete(tag);
  }

  /** Closes the sockets of a namespace. */
  forget(netns: number): void {
    for (const family of [AF_INET, AF_INET6]) {
      const fd = this.#sockets.get(`${netns} ${family}`);
      if (fd !== undefined) this.#epoll.close(fd);
      this.#sockets.delete(`${netns} ${family}`);
    }
  }

  #open(netns: number, family: number): number {
    const key = `${netns} ${family}`;
    const known = this.#sockets.get(key);
    if (known !== undefined) return known;
    const fd = runInNetns(netns, () => {
      silenceKernel(family);
      return socket(family, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_SCTP);
    });
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
    this.#sockets.set(key, fd);
    this.#epoll.add(fd, EPOLLIN, () => this.#receive(netns, family, fd));
    return fd;
  }

  #receive(netns: number, family: number, fd: number): void {
    for (let length = receiveFrom(fd, buffer, 0); length >= 0; length = receiveFrom(fd, buffer, 0)) {
      // A raw IPv4 socket receives the IP header too, a raw IPv6 socket does not (raw(7), RFC 3542
      // section 3).
      const start = family === AF_INET ? ((buffer[0] ?? 0) & 0xf) * 4 : 0;
      const packet = decodeSctp(buffer.subarray(start, length));
      if (packet?.chunk === INIT_ACK) this.#waiting.get(packet.verificationTag)?.(packet.cookie);
      else if (packet) this.#answer(netns, family, fd, packet);
    }
  }

  #answer(netns: number, family: number, fd: number, init: SctpPacket): void {
    const listener = this.#listeners.get(`${netns} ${family} ${init.destinationPort}`);
    if (!listener) return;
    const to = peerAddress.slice(0, family === AF_INET ? 16 : 28);
    const cookie = listener(parseSocketAddress(to).address, init.sourcePort, init.initiateTag);
    const reply: SctpPacket = {
      sourcePort: init.destinationPort,
      destinationPort: init.sourcePort,
      verificationTag: init.initiateTag,
      chunk: INIT_ACK,
      initiateTag: init.initiateTag,
      cookie,
    };
    new DataView(to.buffer).setUint16(2, 0);
    sendTo(fd, encodeSctp(reply), 0, to);
  }
}

/**
 * Drops the kernel's own SCTP ABORTs: it does not know our ports and would abort every association.
 */
function silenceKernel(family: number): void {
  if (!existsSync('/proc/thread-self/net/sctp')) return;
  const command = family === AF_INET ? 'iptables' : 'ip6tables';
  spawnSync(command, ['-w', '-A', 'OUTPUT', '-p', 'sctp', '--chunk-types', 'any', 'ABORT', '-j', 'DROP']);
}
