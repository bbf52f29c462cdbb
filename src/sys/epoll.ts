/** epoll(7): one thread waits for many descriptors. */
import { close, EINTR, errno, SystemCallError } from './libc.ts';
import { libcFunction } from './native.ts';

export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const BATCH = 256;

/**
 * `struct epoll_event` is u32 events and u64 data: packed on x86-64, aligned elsewhere
 * (linux/eventpoll.h, EPOLL_PACKED).
 */
const DATA_OFFSET = process.arch === 'x64' ? 4 : 8;
const EVENT_SIZE = DATA_OFFSET + 8;

const c_create = libcFunction('int epoll_create1(int flags)');
const c_control = libcFunction('int epoll_ctl(int epoll, int operation, int fd, void *event)');
const c_wait = libcFunction('int epoll_wait(int epoll, void *events, int count, int timeout)');

export type ReadyHandler = (events: number) => void;

export class Epoll implements Disposable {
  readonly #fd: number;
  readonly #handlers = new Map<number, ReadyHandler>();
  readonly #events = new DataView(new ArrayBuffer(BATCH * EVENT_SIZE));
  readonly #change = new DataView(new ArrayBuffer(EVENT_SIZE));

  constructor() {
    this.#fd = c_create(EPOLL_CLOEXEC);
    if (this.#fd < 0) throw new SystemCallError('epoll_create1', errno());
  }

  /**
   * Calls `handler` from `wait` whenever `fd` has one of `events` (level-triggered), or an error or
   * hang-up.
   */
  add(fd: number, events: number, handler: ReadyHandler): void {
    this.#control(EPOLL_CTL_ADD, fd, events);
    this.#handlers.set(fd, handler);
  }

  modify(fd: number, events: number): void {
    this.#control(EPOLL_CTL_MOD, fd, events);
  }

  /** Closes `fd`, added or not. Events already collected for it are dropped. */
  close(fd: number): void {
    if (this.#handlers.delete(fd)) this.#control(EPOLL_CTL_DEL, fd, 0);
    close(fd);
  }

  /** Closes every added descriptor and the epoll descriptor. */
  [Symbol.dispose](): void {
    for (const fd of this.#handlers.keys()) close(fd);
    this.#handlers.clear();
    close(this.#fd);
  }

  /** Waits up to `timeout` ms (-1: for ever), and calls the handlers of the ready descriptors. */
  wait(timeout: number): void {
    const count: number = c_wait(this.#fd, this.#events, BATCH, timeout);
    if (count < 0) {
      if (errno() === EINTR) return;
      throw new SystemCallError('epoll_wait', errno());
    }
    for (let i = 0; i < count; i++) {
      const offset = i * EVENT_SIZE;
      const fd = this.#events.getInt32(offset + DATA_OFFSET, true);
      this.#handlers.get(fd)?.(this.#events.getUint32(offset, true));
    }
  }

  #control(operation: number, fd: number, events: number): void {
    this.#change.setUint32(0, events, true);
    this.#change.setInt32(DATA_OFFSET, fd, true);
    if (c_control(this.#fd, operation, fd, this.#change) < 0) throw new SystemCallError('epoll_ctl', errno());
  }
}
