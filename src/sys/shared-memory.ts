/**
 * Memory that several processes share: one creates it, and its children inherit the descriptor. See
 * memfd_create(2), mmap(2).
 */
import { errno, mapMemory, type PinnedMemory, SystemCallError } from './libc.ts';
import { libcFunction } from './native.ts';

const MFD_CLOEXEC = 1;
const MAP_SHARED = 1;

const c_memfd_create = libcFunction('int memfd_create(const char *name, unsigned int flags)');
const c_ftruncate = libcFunction('int ftruncate(int fd, int64_t length)');

/** Returns a descriptor of `length` zeroed bytes, close-on-exec. `name` shows in /proc. */
export function sharedMemory(name: string, length: number): number {
  const fd: number = c_memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) throw new SystemCallError('memfd_create', errno());
  if (c_ftruncate(fd, length) < 0) throw new SystemCallError('ftruncate', errno());
  return fd;
}

/**
 * Maps the memory: every process that has mapped it sees what is written. Never unmapped: for
 * memory that lives as long as its process.
 */
export function mapShared(fd: number, length: number): PinnedMemory {
  return mapMemory(length, MAP_SHARED, fd);
}
