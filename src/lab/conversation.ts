/**
 * One open TCP connection between two hosts of a lab, with numbered questions and their answers.
 */
import { Socket } from 'node:net';
import { AF_INET, EINPROGRESS, errno, SOCK_NONBLOCK, SOCK_STREAM, SystemCallError, socket } from '../sys/libc.ts';
import type { Netns } from '../sys/netns.ts';
import { connect, socketAddress } from '../sys/sockets.ts';

export class Conversation implements Disposable {
  readonly #socket: Socket;
  #asked = 0;
  #answered = 0;
  #heard = Promise.withResolvers<void>();

  /**
   * Opens a connection from a network namespace to a listener of the lab. The first `ask` shows
   * whether it was let through.
   */
  constructor(from: Netns, address: string, port: number) {
    const fd = from.run(() => {
      const made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      if (connect(made, socketAddress(address, port)) < 0 && errno() !== EINPROGRESS) {
        throw new SystemCallError('connect', errno());
      }
      return made;
    });
    this.#socket = new Socket({ fd });
    this.#socket.on('error', () => undefined);
    this.#socket.on('data', (data) => {
      this.#answered += data.toString('latin1').split('\n').length - 1;
      this.#heard.resolve();
      this.#heard = Promise.withResolvers();
    });
  }

  /** Number of answers so far. */
  get answered(): number {
    return this.#answered;
  }

  /**
   * Sends one more question. True once it and all earlier ones are answered; false if that takes
   * longer than `patience` ms.
   */
  async ask(patience: number): Promise<boolean> {
    this.#socket.write(`${++this.#asked}\n`);
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), patience);
    const late = new Promise<void>((resolve) => deadline.signal.addEventListener('abort', () => resolve()));
    while (this.#answered < this.#asked && !deadline.signal.aborted) await Promise.race([this.#heard.promise, late]);
    clearTimeout(timer);
    return this.#answered >= this.#asked;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
