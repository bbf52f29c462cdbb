/** Sockets of the generators: blocking ones, which give up after a while, made in the namespace of the calling thread. */
import {
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
/** `struct timeval`: what has no answer after this many seconds is lost. */
const PATIENCE = BigInt64Array.of(1n, 0n);

const c_setsockopt = libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');

/** A blocking UDP socket that talks to one address and gives up waiting after a second. `sourcePort` 0 for any. */
export function udpTo(address: string, port: number, sourcePort = 0): number {
  const fd = boundTo(address, SOCK_DGRAM, sourcePort);
  c_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, PATIENCE, PATIENCE.byteLength);
  must('connect', connect(fd, socketAddress(address, port)));
  return fd;
}

/** A socket with a port of its own, on all addresses of the family of `address`. */
export function boundTo(address: string, type: number, port: number): number {
  const fd = socket(familyOf(address), type, 0);
  // The connections of the round before are remembered for a while.
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  must('bind', tryBind(fd, socketAddress(address.includes(':') ? '::' : '0.0.0.0', port)));
  return fd;
}

function must(call: string, result: number): void {
  if (result < 0) throw new SystemCallError(call, errno());
}
