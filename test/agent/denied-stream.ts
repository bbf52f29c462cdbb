/**
 * Numbered datagrams that no policy allows, a thousand a second, and a count of those that arrive
 * all the same.
 */
import type { LabHost } from '../../src/lab/lab.ts';
import { close, SOCK_DGRAM } from '../../src/sys/libc.ts';
import { receiveFrom, sendTo, socketAddress, tryBind } from '../../src/sys/sockets.ts';
import { open } from './denied-traffic.ts';

const PORT = 7999;
const PER_SECOND = 1000;
const MOST_AT_ONCE = 10;
const buffer = new Uint8Array(64);
const datagram = new TextEncoder().encode('denied');

export class DeniedStream implements Disposable {
  sent = 0;
  delivered = 0;
  readonly #client: number;
  readonly #server: number;
  readonly #target: Uint8Array;
  readonly #timer: NodeJS.Timeout;
  #turnedAt = performance.now();

  constructor(from: LabHost, to: LabHost) {
    this.#target = socketAddress(to.addresses[0] ?? '', PORT);
    this.#server = open(to, SOCK_DGRAM);
    tryBind(this.#server, this.#target);
    this.#client = open(from, SOCK_DGRAM);
    this.#timer = setInterval(() => this.#turn(), 1);
  }

  /** Resolves after another `count` datagrams. */
  async goesOn(count = 200): Promise<void> {
    const end = this.sent + count;
    while (this.sent < end) await new Promise((resolve) => setImmediate(resolve));
    this.#receive();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    close(this.#client);
    close(this.#server);
  }

  /**
   * Sends what is due by the clock. A late turn sends at most MOST_AT_ONCE and skips the rest: sent
   * all at once, it would be no steady stream.
   */
  #turn(): void {
    this.#receive();
    const now = performance.now();
    const due = Math.min(MOST_AT_ONCE, ((now - this.#turnedAt) * PER_SECOND) / 1000);
    if (due < 1) return;
    this.#turnedAt = now;
    for (let i = 0; i < due; i++) sendTo(this.#client, datagram, 0, this.#target);
    this.sent += Math.ceil(due);
  }

  #receive(): void {
    while (receiveFrom(this.#server, buffer, 0) > 0) this.delivered++;
  }
}
