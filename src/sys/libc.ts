/**
 * The system calls that Node does not offer, through koffi. Calls on the packet path, marked Raw,
 * return what libc returns: -1, with `errno()` set. The others throw a SystemCallError, because
 * they fail only if the machine or the permissions are wrong.
 *
 * Constants have the names of the kernel's and glibc's headers. The struct layouts assume
 * little-endian LP64, which all supported platforms are (x86-64 and arm64 Linux).
 */
import koffi from 'koffi';
import { libcFunction } from './native.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_RCVBUFFORCE = 33;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const POLLIN = 0x1;
const CLONE_NEWNET = 0x40000000;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const MADV_HUGEPAGE = 14;
/** madvise takes whole pages; 64 KiB is a multiple of every page size of x86-64 and arm64. */
const PAGE = 65_536n;

/** A failed system call: `syscall` is its name, `code` the symbolic errno (`EPERM`). */
export class SystemCallError extends Error {
  readonly syscall: string;
  readonly code: string;
  readonly errno: number;

  constructor(syscall: string, errno: number) {
    const code = errnoName(errno);
    super(`${syscall}: ${code}`);
    this.name = 'SystemCallError';
    this.syscall = syscall;
    this.code = code;
    this.errno = errno;
  }
}

const errnoNames = new Map(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]));

/** Returns `EAGAIN` for 11, and `errno 9999` for a number without a name. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`;
}

/** Returns the calling thread's errno after a call that returned -1. */
export function errno(): number {
  return koffi.errno();
}

export const EAGAIN = koffi.os.errno.EAGAIN ?? 11;
export const EINTR = koffi.os.errno.EINTR ?? 4;
export const ENOBUFS = koffi.os.errno.ENOBUFS ?? 105;
export const EINPROGRESS = koffi.os.errno.EINPROGRESS ?? 115;

type Bytes = Uint8Array | Int32Array | DataView | bigint;

const c_socket = libcFunction('int socket(int domain, int type, int protocol)');
const c_bind = libcFunction('int bind(int fd, const void *address, uint32_t length)');
const c_setsockopt = libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');
const c_close = libcFunction('int close(int fd)');
const c_eventfd = libcFunction('int eventfd(unsigned int initial, int flags)');
const c_setns = libcFunction('int setns(int fd, int type)');
const c_unshare = libcFunction('int unshare(int flags)');
/** memmove(3) returns its destination: with length 0, just the address. */
const c_address = libcFunction('uintptr_t memmove(void *to, const void *from, size_t length)');
const c_madvise = libcFunction('int madvise(uintptr_t address, size_t length, int advice)');
const c_mmap = libcFunction(
  'void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)',
);

/** Raw: number of messages received, or -1. `messages` points to `struct mmsghdr[count]`. */
export const recvmmsg: (fd: number, messages: Bytes, count: number, flags: number, timeout: null) => number =
  libcFunction('int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout)');
/** Raw: bytes sent, or -1. */
export const send: (fd: number, data: Bytes, length: number, flags: number) => number = libcFunction(
  'int64_t send(int fd, const void *data, size_t length, int flags)',
);
/** Raw: bytes received, or -1. */
export const recv: (fd: number, data: Bytes, length: number, flags: number) => number = libcFunction(
  'int64_t recv(int fd, void *data, size_t length, int flags)',
);
/**
 * Raw: number of ready descriptors, 0 after `timeout` ms, or -1. `descriptors` is `struct
 * pollfd[count]`: int fd, short events, short revents.
 */
export const poll: (descriptors: Bytes, count: number, timeout: number) => number = libcFunction(
  'int poll(void *descriptors, uint64_t count, int timeout)',
);
/** Lets other threads that wait for the processor run: sched_yield(2). */
export const yieldProcessor: () => number = libcFunction('int sched_yield(void)');
/** Raw: bytes read, or -1. */
export const read: (fd: number, data: Bytes, length: number) => number = libcFunction(
  'int64_t read(int fd, void *data, size_t length)',
);
/** Raw: bytes written, or -1. */
const write: (fd: number, data: Bytes, length: number) => number = libcFunction(
  'int64_t write(int fd, const void *data, size_t length)',
);

function checked(syscall: string, result: number): number {
  if (result < 0) throw new SystemCallError(syscall, koffi.errno());
  return result;
}

/** Returns a new socket, close-on-exec. */
export function socket(domain: number, type: number, protocol: number): number {
  return checked('socket', c_socket(domain, type | SOCK_CLOEXEC, protocol));
}

export function bind(fd: number, address: Uint8Array): void {
  checked('bind', c_bind(fd, address, address.byteLength));
}

/** Sets an int-valued socket option. */
export function setsockopt(fd: number, level: number, name: number, value: number): void {
  checked('setsockopt', c_setsockopt(fd, level, name, Int32Array.of(value), 4));
}

export function close(fd: number): void {
  checked('close', c_close(fd));
}

/**
 * Returns a non-blocking eventfd (eventfd(2)): one thread writes it to wake another that polls it.
 */
export function eventfd(): number {
  return checked('eventfd', c_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

const one = BigInt64Array.of(1n);

/** Wakes the thread that polls the eventfd. */
export function signalEventfd(fd: number): void {
  checked('write', write(fd, new Uint8Array(one.buffer), 8));
}

/**
 * Moves the calling thread into the network namespace of `fd`. Throws EPERM without CAP_SYS_ADMIN.
 */
export function setns(fd: number): void {
  checked('setns', c_setns(fd, CLONE_NEWNET));
}

/** Moves the calling thread into a new network namespace. Throws EPERM without CAP_SYS_ADMIN. */
export function unshareNetwork(): void {
  checked('unshare', c_unshare(CLONE_NEWNET));
}

/**
 * Asks for huge pages under an array that was not touched yet, so that random reads cost fewer page
 * walks. Changes nothing where there are none.
 */
export function adviseHugePages(array: Int32Array): void {
  const start = BigInt(c_address(array, array, 0));
  const first = (start + PAGE - 1n) & ~(PAGE - 1n);
  const end = (start + BigInt(array.byteLength)) & ~(PAGE - 1n);
  if (end > first) c_madvise(first, end - first, MADV_HUGEPAGE);
}

/**
 * Memory that never moves, so that kernel structures can point into it; it lives as long as the
 * process.
 */
export interface PinnedMemory {
  readonly buffer: ArrayBuffer;
  readonly address: bigint;
}

/**
 * Returns `length` zeroed bytes outside the JavaScript heap. Never freed: for buffers that live as
 * long as their thread.
 */
export function pinnedMemory(length: number): PinnedMemory {
  return mapMemory(length, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/** Maps `length` bytes for reading and writing: mmap(2). */
export function mapMemory(length: number, flags: number, fd: number): PinnedMemory {
  const pointer: unknown = c_mmap(null, length, PROT_READ | PROT_WRITE, flags, fd, 0);
  const address = typeof pointer === 'bigint' ? pointer : koffi.address(pointer);
  if (address === 0xffffffffffffffffn || address === -1n) throw new SystemCallError('mmap', koffi.errno());
  return { buffer: koffi.view(pointer, length), address };
}
