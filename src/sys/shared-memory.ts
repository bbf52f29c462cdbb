/** Memory that several processes see: made by one, inherited by its children as a descriptor. See memfd_create(2), mmap(2). */
import koffi from 'koffi';
import { errno, type PinnedMemory, SystemCallError } from './libc.ts';
import { libcFunction } from './native.ts';

const MFD_CLOEXEC = 1;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;

const c_memfd_create = libcFunction('int memfd_create(const char *name, unsigned int flags)');
const c_ftruncate = libcFunction('int ftruncate(int fd, int64_t length)');
const c_mmap = libcFunction(
  'void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)',
);

/** A descriptor of `length` zeroed bytes, close-on-exec. `name` shows in /proc. */
export function sharedMemory(name: string, length: number): number {
  const fd: number = c_memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) throw new SystemCallError('memfd_create', errno());
  if (c_ftruncate(fd, length) < 0) throw new SystemCallError('ftruncate', errno());
  return fd;
}

/** Maps it: what is written is seen by everybody who has. Never unmapped: for memory that lives as long as its process. */
export function mapShared(fd: number, length: number): PinnedMemory {
  const pointer: unknown = c_mmap(null, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const address = typeof pointer === 'bigint' ? pointer : koffi.address(pointer);
  if (address === 0xffffffffffffffffn || address === -1n) throw new SystemCallError('mmap', errno());
  return { buffer: koffi.view(pointer, length), address };
}
