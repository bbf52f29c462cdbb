/**
 * Sockets by system call. Node creates a socket on a later tick of the event loop, when its thread
 * may be in another network namespace; these are created at once, where the calling thread is.
 * Calls on a data path return what libc returns: -1, with `errno()` set. Calls that fail only on a
 * programming error or a wrong machine throw a SystemCallError.
 */
import koffi from 'koffi';
import { AF_INET, AF_INET6, errno, SystemCallError } from './libc.ts';
import { libcFunction } from './native.ts';

export const IPPROTO_SCTP = 132;
export const EADDRINUSE = koffi.os.errno.EADDRINUSE ?? 98;

const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_LINGER = 13;
const SOCKET_ADDRESS_LENGTH = 28;

const c_bind = libcFunction('int bind(int fd, const void *address, uint32_t length)');
const c_connect = libcFunction('int connect(int fd, const void *address, uint32_t length)');
const c_listen = libcFunction('int listen(int fd, int backlog)');
const c_accept4 = libcFunction('int accept4(int fd, void *address, void *length, int flags)');
const c_getsockopt = libcFunction('int getsockopt(int fd, int level, int name, void *value, void *length)');
const c_setsockopt = libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');
const c_getsockname = libcFunction('int getsockname(int fd, void *address, void *length)');
const c_sendto = libcFunction(
  'int64_t sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t length)',
);
const c_recvfrom = libcFunction(
  'int64_t recvfrom(int fd, void *data, size_t size, int flags, void *address, void *length)',
);
const c_inet_pton = libcFunction('int inet_pton(int family, const char *text, void *address)');
const c_inet_ntop = libcFunction('const char *inet_ntop(int family, const void *address, void *text, uint32_t size)');

/** Returns AF_INET or AF_INET6 for the text of an IP address. */
export function familyOf(address: string): number {
  return address.includes(':') ? AF_INET6 : AF_INET;
}

/**
 * Returns the `struct sockaddr_in` or `struct sockaddr_in6` of an IP address and a port: u16 family
 * (host order), u16 port, then the IPv4 address at 4, or the flow label at 4 and the IPv6 address
 * at 8. Throws TypeError if `address` is not an IP address.
 */
export function socketAddress(address: string, port: number): Uint8Array {
  const family = familyOf(address);
  const bytes = new Uint8Array(family === AF_INET ? 16 : SOCKET_ADDRESS_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family, true);
  view.setUint16(2, port);
  if (c_inet_pton(family, address, bytes.subarray(family === AF_INET ? 4 : 8)) !== 1) {
    throw new TypeError(`not an IP address: ${address}`);
  }
  return bytes;
}

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

const text = new Uint8Array(46);

/** The reverse of `socketAddress`. */
export function parseSocketAddress(bytes: Uint8Array): SocketAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  const address: string = c_inet_ntop(family, bytes.subarray(family === AF_INET ? 4 : 8), text, text.length);
  return { address, port: view.getUint16(2) };
}

/** Raw: 0, or -1 (EADDRINUSE, EADDRNOTAVAIL, …). */
export function tryBind(fd: number, address: Uint8Array): number {
  return c_bind(fd, address, address.byteLength);
}

/** Raw: 0, or -1 (EINPROGRESS on a non-blocking stream socket). */
export function connect(fd: number, address: Uint8Array): number {
  return c_connect(fd, address, address.byteLength);
}

export function listen(fd: number, backlog: number): void {
  if (c_listen(fd, backlog) < 0) throw new SystemCallError('listen', errno());
}

/** The peer's address of the last `accept` or `receiveFrom`; the next call overwrites it. */
export const peerAddress = new Uint8Array(SOCKET_ADDRESS_LENGTH);
const peerLength = new Uint32Array(1);

/**
 * Raw: the new descriptor, or -1. The peer's address is in `peerAddress`. `flags`: SOCK_NONBLOCK,
 * SOCK_CLOEXEC.
 */
export function accept(fd: number, flags: number): number {
  peerLength[0] = SOCKET_ADDRESS_LENGTH;
  return c_accept4(fd, peerAddress, peerLength, flags);
}

/** Raw: bytes received, or -1. The sender's address is in `peerAddress`. */
export function receiveFrom(fd: number, data: Uint8Array, flags: number): number {
  peerLength[0] = SOCKET_ADDRESS_LENGTH;
  return c_recvfrom(fd, data, data.byteLength, flags, peerAddress, peerLength);
}

/** Raw: bytes sent, or -1. */
export function sendTo(fd: number, data: Uint8Array, flags: number, to: Uint8Array): number {
  return c_sendto(fd, data, data.byteLength, flags, to, to.byteLength);
}

/** Returns and clears the socket's pending error (SO_ERROR); 0 if there is none. */
export function socketError(fd: number): number {
  const value = new Int32Array(1);
  if (c_getsockopt(fd, SOL_SOCKET, SO_ERROR, value, Uint32Array.of(4)) < 0) return errno();
  return value[0] ?? 0;
}

/** Makes `close` reset the connection (SO_LINGER of 0 s), so that none of it stays in TIME_WAIT. */
export function resetOnClose(fd: number): void {
  c_setsockopt(fd, SOL_SOCKET, SO_LINGER, Int32Array.of(1, 0), 8);
}

export function localAddress(fd: number): SocketAddress {
  const bytes = new Uint8Array(SOCKET_ADDRESS_LENGTH);
  const length = Uint32Array.of(SOCKET_ADDRESS_LENGTH);
  if (c_getsockname(fd, bytes, length) < 0) throw new SystemCallError('getsockname', errno());
  return parseSocketAddress(bytes);
}
