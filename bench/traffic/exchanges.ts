/**
 * Single exchanges with a pod. Each returns the time that it took in microseconds, NaN without an
 * answer.
 */
import { close, EINTR, errno, recv, SOCK_STREAM, send, socket } from '../../src/sys/libc.ts';
import { connect, familyOf, resetOnClose, socketAddress } from '../../src/sys/sockets.ts';
import { loseHope, PATIENCE, type SourcePorts } from './sockets.ts';

export interface Target {
  readonly address: string;
  readonly port: number;
}

const datagram = new Uint8Array(64);
const reply = new Uint8Array(64);
const [question, answered] = [datagram, reply].map((bytes) => new Uint32Array(bytes.buffer, 0, 1)) as [
  Uint32Array,
  Uint32Array,
];

/**
 * Sends a datagram on a socket of `udpTo` and waits for its answer. Datagrams are numbered: a late
 * answer to an earlier one is read and ignored.
 */
export function ask(fd: number): number {
  question[0] = (question[0] as number) + 1;
  const start = performance.now();
  send(fd, datagram, datagram.length, 0);
  for (let waited = 0; waited < PATIENCE; ) {
    const isAnswer = recv(fd, reply, reply.length, 0) > 0;
    // The runtime's own signals interrupt a socket that has a timeout (signal(7)).
    if (!isAnswer && errno() !== EINTR) break;
    waited = performance.now() - start;
    if (isAnswer && answered[0] === question[0] && waited < PATIENCE) return waited * 1000;
  }
  return Number.NaN;
}

/** Does the same on a new flow. The kernel must have forgotten the last flow with this port. */
export function askOnNewFlow({ address, port }: Target, ports: SourcePorts): number {
  const fd = ports.open(address, port);
  const latency = ask(fd);
  close(fd);
  return latency;
}

/**
 * Opens a TCP connection, and resets it. A lost first packet counts as no answer: the kernel sends
 * the next one a second later.
 */
export function shakeHands({ address, port }: Target): number {
  const fd = socket(familyOf(address), SOCK_STREAM, 0);
  loseHope(fd);
  const peer = socketAddress(address, port);
  const start = performance.now();
  const connected = connect(fd, peer) === 0;
  const latency = (performance.now() - start) * 1000;
  resetOnClose(fd);
  close(fd);
  return connected ? latency : Number.NaN;
}
