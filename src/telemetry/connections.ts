/** The open connections of a server, bounded in number. */
import type { Socket } from 'node:net';

/**
 * When there is one too many, the client with the most connections loses its least recently used
 * one. A client that opens many connections, or holds them open, loses only its own, and other
 * clients are served.
 */
export class Connections {
  readonly #limit: number;
  /** The least recently used first. */
  readonly #sockets = new Set<Socket>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  [Symbol.iterator](): IterableIterator<Socket> {
    return this.#sockets.values();
  }

  add(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    if (this.#sockets.size > this.#limit) this.#endOne();
  }

  use(socket: Socket): void {
    if (this.#sockets.delete(socket)) this.#sockets.add(socket);
  }

  #endOne(): void {
    const byClient = Map.groupBy(this.#sockets, ({ remoteAddress }) => remoteAddress);
    const [most = []] = [...byClient.values()].sort((a, b) => b.length - a.length);
    const [oldest] = most;
    if (oldest === undefined) return;
    this.#sockets.delete(oldest);
    oldest.destroy();
  }
}
