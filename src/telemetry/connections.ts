/** The open connections of a server, of which there are never more than a fixed number. */
import type { Socket } from 'node:net';

/**
 * Where there is one too many, of the client that has the most the one goes that was not used for the longest time. So whoever opens many
 * connections, or holds them open, loses their own, and another client's next one is served all the same.
 */
export class Connections {
  readonly #limit: number;
  /** The one not used for the longest time first. */
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
