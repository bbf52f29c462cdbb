/** Sockets of the generators: blocking ones, which give up after a while, made in the namespace of the calling thread. */
import {
  close,
  errno,
  SO_REUSEADDR,
  SOCK_DGRAM,
  SOL_SOCKET,
  SystemCallError,
  setsockopt,
  socket,
} from '../../src/sys/libc.ts';
import { libcFunction } from '../../src/sys/native.ts';
import { connect, familyOf, socketAddress, tryBind } from '../../src/sys/sockets.ts';

const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
/** In ms: what has no answer by then is lost. */
export const PATIENCE = 1000;
/** `struct timeval`. */
const PATIENCE_OF_SOCKET = BigInt64Array.of(BigInt(PATIENCE / 1000), 0n);

const c_setsockopt = libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');

/** A blocking UDP socket that talks to one address and gives up waiting after a second. `sourcePort` 0 for any. */
export function udpTo(address: string, port: number, sourcePort = 0): number {
  const fd = boundTo(address, SOCK_DGRAM, sourcePort);
  loseHope(fd);
  must('connect', fd, connect(fd, socketAddress(address, port)));
  return fd;
}

/** Makes every wait of a blocking socket end after a second: for data, and for a connection. */
export function loseHope(fd: number): void {
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO])
    c_setsockopt(fd, SOL_SOCKET, option, PATIENCE_OF_SOCKET, PATIENCE_OF_SOCKET.byteLength);
}

export interface PortRange {
  readonly first: number;
  readonly count: number;
}

/** Source ports of new flows, one after the other, round and round. Those that something else in the pod has are passed over: a stream of iperf3, say. */
export class SourcePorts {
  readonly #range: PortRange;
  #taken = 0;

  constructor(range: PortRange) {
    this.#range = range;
  }

  /** A socket of `udpTo` on the next port that is free. @throws SystemCallError where none is */
  open(address: string, port: number): number {
    const { first, count } = this.#range;
    for (let tries = 1; ; tries++) {
      try {
        return udpTo(address, port, first + (this.#taken++ % count));
      } catch (error) {
        const inUse = error instanceof SystemCallError && error.code === 'EADDRINUSE';
        if (!inUse || tries === count) throw error;
      }
    }
  }
}

/** A socket with a port of its own, on all addresses of the family of `address`. */
export function boundTo(address: string, type: number, port: number): number {
  const fd = socket(familyOf(address), type, 0);
  // The connections of the round before are remembered for a while.
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  must('bind', fd, tryBind(fd, socketAddress(address.includes(':') ? '::' : '0.0.0.0', port)));
  return fd;
}

/** Closes the socket where the call failed. */
function must(call: string, fd: number, result: number): void {
  if (result >= 0) return;
  const error = new SystemCallError(call, errno());
  close(fd);
  throw error;
}
