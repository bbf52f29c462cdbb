/**
 * Everything that a sender that no policy allows can try: connections from fresh ports, segments in
 * the middle of connections that never existed, datagrams from one port and from fresh ones. Raw
 * sockets see what is delivered: they get a copy of every packet that the receiving host accepts,
 * whether or not a socket listens (raw(7)).
 */
import { expect } from 'vitest';
import type { LabHost } from '../../src/lab/lab.ts';
import {
  close,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOCK_STREAM,
  SOL_SOCKET,
  setsockopt,
  socket,
} from '../../src/sys/libc.ts';
import {
  connect,
  familyOf,
  parseSocketAddress,
  peerAddress,
  receiveFrom,
  sendTo,
  socketAddress,
} from '../../src/sys/sockets.ts';

/** Interval between two rounds of attempts, in ms. */
const TICK = 2;
const PORT = 7777;
const RECEIVE_BUFFER = 8 << 20;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const ACK = 0x10;

const buffer = new Uint8Array(65_536);
const view = new DataView(buffer.buffer);
const datagram = new TextEncoder().encode('denied');

export class DeniedTraffic implements Disposable {
  /** Each round sends one packet of each sort. */
  rounds = 0;
  /** Packets that arrived, as text. */
  readonly delivered: string[] = [];
  readonly #from: LabHost;
  readonly #target: Uint8Array;
  readonly #addresses: { readonly from: string; readonly to: string };
  readonly #raw: number;
  readonly #udp: number;
  readonly #ears: readonly number[];
  readonly #timer: NodeJS.Timeout;
  #previous: readonly number[] = [];

  constructor(from: LabHost, to: LabHost) {
    this.#from = from;
    this.#addresses = { from: from.addresses[0] ?? '', to: to.addresses[0] ?? '' };
    this.#target = socketAddress(this.#addresses.to, PORT);
    this.#ears = [IPPROTO_TCP, IPPROTO_UDP].map((protocol) => open(to, SOCK_RAW, protocol));
    this.#raw = open(from, SOCK_RAW, IPPROTO_TCP);
    this.#udp = open(from, SOCK_DGRAM);
    this.#timer = setInterval(() => this.#round(), TICK);
  }

  /** Resolves after another `count` rounds. */
  async goesOn(count = 20): Promise<void> {
    const end = this.rounds + count;
    while (this.rounds < end) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Nothing has arrived so far, with attempts all the time. */
  async expectNothingDelivered(): Promise<void> {
    await this.goesOn();
    expect(this.delivered.slice(0, 5), 'of what was delivered').toEqual([]);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const fd of [...this.#ears, ...this.#previous, this.#raw, this.#udp]) close(fd);
  }

  #round(): void {
    this.#listen();
    // Closing a connection that is not open yet leaves nothing behind.
    for (const fd of this.#previous) close(fd);
    const tcp = open(this.#from, SOCK_STREAM);
    connect(tcp, this.#target);
    const udp = open(this.#from, SOCK_DGRAM);
    sendTo(udp, datagram, 0, this.#target);
    sendTo(this.#udp, datagram, 0, this.#target);
    const segment = tcpSegment(this.#addresses, 1024 + (this.rounds % 60_000), PORT, ACK);
    sendTo(this.#raw, segment, 0, this.#target);
    this.#previous = [tcp, udp];
    this.rounds++;
  }

  #listen(): void {
    for (const fd of this.#ears) {
      while (receiveFrom(fd, buffer, 0) > 0) {
        if (parseSocketAddress(peerAddress).address === this.#addresses.from) this.delivered.push(describe());
      }
    }
  }
}

/** Describes the packet in the buffer: an IPv4 header, then that of its protocol. */
function describe(): string {
  const at = (view.getUint8(0) & 15) * 4;
  const ports = `${view.getUint16(at)} to ${view.getUint16(at + 2)}`;
  const when = performance.now().toFixed(0);
  return view.getUint8(9) === IPPROTO_UDP
    ? `${when} UDP ${ports}`
    : `${when} TCP ${ports} flags 0x${view.getUint8(at + 13).toString(16)}`;
}

export function open(host: LabHost, type: number, protocol = 0): number {
  const family = familyOf(host.addresses[0] ?? '');
  const fd = host.netns.run(() => socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (type === SOCK_RAW) setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
  return fd;
}

/**
 * Returns a TCP header without data. The checksum must be right, because the kernel does not track
 * segments with a wrong one (RFC 9293, section 3.1).
 */
export function tcpSegment(
  { from, to }: { from: string; to: string },
  source: number,
  destination: number,
  flags: number,
) {
  const segment = new DataView(new ArrayBuffer(20));
  segment.setUint16(0, source);
  segment.setUint16(2, destination);
  segment.setUint32(4, 1);
  segment.setUint32(8, 1);
  segment.setUint8(12, 5 << 4);
  segment.setUint8(13, flags);
  segment.setUint16(14, 1024);
  let sum = IPPROTO_TCP + segment.byteLength;
  for (const address of [from, to]) {
    const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
    sum += ((a << 8) | b) + ((c << 8) | d);
  }
  for (let at = 0; at < segment.byteLength; at += 2) sum += segment.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  segment.setUint16(16, ~sum & 0xffff);
  return new Uint8Array(segment.buffer);
}
