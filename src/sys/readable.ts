/**
 * Watches descriptors that Node has no stream for, in Node's own event loop (uv_poll, which is
 * epoll(7)): no thread waits for them, and nothing polls them in a loop.
 */
import koffi from 'koffi';

/**
 * Calls `handler` whenever `fd` is readable or has an error (level-triggered), until the result is
 * disposed of. Disposing leaves `fd` open. The watch does not keep the process alive.
 */
export function onReadable(fd: number, handler: () => void): Disposable {
  const handle = koffi.node.poll(fd, { readable: true, disconnect: true }, handler);
  handle.unref();
  return { [Symbol.dispose]: () => handle.close() };
}
