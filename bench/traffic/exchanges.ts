/** Single exchanges with a pod, and how long each took: microseconds, NaN where there was no answer. */
import { close, recv, SOCK_STREAM, send, socket } from '../../src/sys/libc.ts';
import { connect, familyOf, resetOnClose, socketAddress } from '../../src/sys/sockets.ts';
import { udpTo } from './sockets.ts';

export interface Target {
  readonly address: string;
  readonly port: number;
}

const datagram = new Uint8Array(64);
const reply = new Uint8Array(64);

/** A datagram and its answer, on a socket of `udpTo`. */
export function ask(fd: number): number {
  const start = performance.now();
  send(fd, datagram, datagram.length, 0);
  return recv(fd, reply, reply.length, 0) > 0 ? (performance.now() - start) * 1000 : Number.NaN;
}

/** The same, on a flow of its own. The kernel must have forgotten the last one with this port. */
export function askOnNewFlow({ address, port }: Target, sourcePort: number): number {
  const fd = udpTo(address, port, sourcePort);
  const latency = ask(fd);
  close(fd);
  return latency;
}

/** Opens a TCP connection, and resets it. */
export function shakeHands({ address, port }: Target): number {
  const fd = socket(familyOf(address), SOCK_STREAM, 0);
  const peer = socketAddress(address, port);
  const start = performance.now();
  const connected = connect(fd, peer) === 0;
  const latency = (performance.now() - start) * 1000;
  resetOnClose(fd);
  close(fd);
  return connected ? latency : Number.NaN;
}
