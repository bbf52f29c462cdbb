/**
 * Sockets of the load generators, in the calling thread's namespace: they block, and give up after
 * a while.
 */
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
/** Time to wait in ms: what is not answered by then is lost. */
export const PATIENCE = 1000;
/** `struct timeval`. */
const PATIENCE_OF_SOCKET = BigInt64Array.of(BigInt(PATIENCE / 1000), 0n);

const c_setsockopt = libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');

/**
 * Returns a blocking UDP socket, connected to one address, that gives up waiting after a second.
 * `sourcePort` 0 is any port.
 */
export function udpTo(address: string, port: number, sourcePort = 0): number {
  const fd = boundTo(address, SOCK_DGRAM, sourcePort);
  loseHope(fd);
  must('connect', fd, connect(fd, socketAddress(address, port)));
  return fd;
}

/** Ends every wait of a blocking socket after a second: for data, and for a connection. */
export function loseHope(fd: number): void {
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO])
    c_setsockopt(fd, SOL_SOCKET, option, PATIENCE_OF_SOCKET, PATIENCE_OF_SOCKET.byteLength);
}

export interface PortRange {
  readonly first: number;
  readonly count: number;
}

/**
 * Source ports of new flows, one after the other, round and round. Skips ports that another socket
 * in the pod uses, such as a stream of iperf3.
 */
export class SourcePorts {
  readonly #range: PortRange;
  #taken = 0;

  constructor(range: PortRange) {
    this.#range = range;
  }

  /** Returns a socket of `udpTo` on the next free port. @throws SystemCallError if none is free */
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

/** Returns a socket bound to a port, on all addresses of the family of `address`. */
export function boundTo(address: string, type: number, port: number): number {
  const fd = socket(familyOf(address), type, 0);
  // The kernel remembers the connections of the round before for a while.
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  must('bind', fd, tryBind(fd, socketAddress(address.includes(':') ? '::' : '0.0.0.0', port)));
  return fd;
}

/** Throws and closes the socket if the call failed. */
function must(call: string, fd: number, result: number): void {
  if (result >= 0) return;
  const error = new SystemCallError(call, errno());
  close(fd);
  throw error;
}
