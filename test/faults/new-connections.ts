/**
 * Opens allowed connections one after the other all the time, and counts how many opened and how
 * many still wait.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { LabHost } from '../../src/lab/lab.ts';
import { close, errno, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from '../../src/sys/libc.ts';
import { accept, connect, listen, resetOnClose, socketAddress, tryBind } from '../../src/sys/sockets.ts';
import { open } from '../agent/denied-traffic.ts';
import { patience } from '../patience.ts';

/** Interval between two attempts, in ms. */
const TICK = 20;
/** asm-generic/errno.h */
const EISCONN = 106;
const EINPROGRESS = 115;
const EALREADY = 114;
/** Longer than the fourth retransmission of a SYN, in ms. */
const PATIENCE = patience(20_000);

export class NewConnections implements Disposable {
  opened = 0;
  /** Ended by the other side, or by the kernel. */
  refused = 0;
  readonly #from: LabHost;
  readonly #target: Uint8Array;
  readonly #server: number;
  readonly #timer: NodeJS.Timeout;
  readonly #waiting = new Set<number>();
  #paused = false;

  constructor(from: LabHost, to: LabHost, port: number) {
    this.#from = from;
    this.#target = socketAddress(to.addresses[0] ?? '', port);
    this.#server = open(to, SOCK_STREAM);
    if (tryBind(this.#server, this.#target) < 0) throw new Error(`port ${port} is taken`);
    listen(this.#server, 1024);
    this.#timer = setInterval(() => this.#tick(), TICK);
  }

  /** Waits for pending connections; returns how many never opened. */
  async settle(): Promise<number> {
    this.#paused = true;
    const end = performance.now() + PATIENCE;
    while (this.#waiting.size > 0 && performance.now() < end) await delay(TICK);
    const left = this.#waiting.size;
    for (const fd of this.#waiting) close(fd);
    this.#waiting.clear();
    this.#paused = false;
    return left;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const fd of [...this.#waiting, this.#server]) close(fd);
  }

  #tick(): void {
    for (let fd = accept(this.#server, SOCK_NONBLOCK | SOCK_CLOEXEC); fd >= 0; fd = accept(this.#server, SOCK_NONBLOCK))
      close(fd);
    for (const fd of this.#waiting) this.#look(fd);
    if (this.#paused) return;
    const fd = open(this.#from, SOCK_STREAM);
    resetOnClose(fd);
    this.#waiting.add(fd);
    this.#look(fd);
  }

  #look(fd: number): void {
    const code = connect(fd, this.#target) < 0 ? errno() : EISCONN;
    if (code === EINPROGRESS || code === EALREADY) return;
    if (code === EISCONN) this.opened++;
    else this.refused++;
    this.#waiting.delete(fd);
    close(fd);
  }
}
