/**
 * Descriptors that Node has no stream for, watched by its own event loop (uv_poll, which is epoll(7)): no thread waits for them, and nobody asks again and again.
 */
import koffi from 'koffi';

/**
 * Calls `handler` whenever `fd` has something to read or an error (level-triggered), until the result is disposed of, which leaves `fd` open. It keeps no process
 * alive.
 */
export function onReadable(fd: number, handler: () => void): Disposable {
  const handle = koffi.node.poll(fd, { readable: true, disconnect: true }, handler);
  handle.unref();
  return { [Symbol.dispose]: () => handle.close() };
}
