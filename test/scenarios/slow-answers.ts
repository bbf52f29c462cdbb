/** UDP queries with slow answers: whatever changes meanwhile, every question must be answered. */
import type { LabHost } from '../../src/lab/lab.ts';
import {
  close,
  recv,
  SO_RCVBUFFORCE,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  send,
  setsockopt,
  socket,
} from '../../src/sys/libc.ts';
import { connect, familyOf, peerAddress, receiveFrom, sendTo, socketAddress, tryBind } from '../../src/sys/sockets.ts';

/** Interval between two rounds of questions, each from its own port, in ms. */
const TICK = 1;
const QUESTIONS = 5;
/** Delays of the answers in ms, by turns, so that answers arrive at every moment of a change. */
const DELAYS = [1, 2, 4, 6, 8, 12, 16, 20];
/** The most open questions; far fewer are open at a time. */
const OPEN = 500;
/** Receive buffer of the server, in bytes: what waits while this process is busy is not lost. */
const RECEIVE_BUFFER = 8 << 20;
/** How long an answer may take, in ms; nothing is retransmitted. */
const PATIENCE = 2000;

const question = new TextEncoder().encode('question');
const buffer = new Uint8Array(512);

export class SlowAnswers implements Disposable {
  asked = 0;
  answered = 0;
  readonly #client: LabHost;
  readonly #target: Uint8Array;
  readonly #server: number;
  readonly #open = new Set<number>();
  #received = 0;
  #due: { readonly at: number; readonly to: Uint8Array }[] = [];
  readonly #timer: NodeJS.Timeout;
  #asking = true;

  constructor(client: LabHost, server: LabHost, port: number) {
    const address = server.addresses[0] ?? '';
    this.#client = client;
    this.#target = socketAddress(address, port);
    this.#server = server.netns.run(() => socket(familyOf(address), SOCK_DGRAM | SOCK_NONBLOCK, 0));
    setsockopt(this.#server, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
    if (tryBind(this.#server, this.#target) !== 0) throw new Error(`cannot listen on ${address}:${port}`);
    this.#timer = setInterval(() => this.#tick(), TICK);
  }

  /** Stops asking, and returns how many questions remain without an answer. */
  async unanswered(): Promise<number> {
    this.#asking = false;
    const end = performance.now() + PATIENCE;
    while (this.#open.size > 0 && performance.now() < end) await new Promise((resolve) => setImmediate(resolve));
    return this.asked - this.answered;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const fd of [this.#server, ...this.#open]) close(fd);
  }

  #tick(): void {
    const now = performance.now();
    for (let i = 0; i < QUESTIONS && this.#asking && this.#open.size < OPEN; i++) this.#ask();
    while (receiveFrom(this.#server, buffer, 0) > 0) {
      this.#received++;
      this.#due.push({ at: now + (DELAYS[this.#received % DELAYS.length] ?? 0), to: peerAddress.slice() });
    }
    this.#due = this.#due.filter(({ at, to }) => at > now || sendTo(this.#server, question, 0, to) < 0);
    for (const fd of this.#open) {
      if (recv(fd, buffer, buffer.length, 0) <= 0) continue;
      this.answered++;
      this.#open.delete(fd);
      close(fd);
    }
  }

  #ask(): void {
    const family = familyOf(this.#client.addresses[0] ?? '');
    const fd = this.#client.netns.run(() => socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    connect(fd, this.#target);
    if (send(fd, question, question.length, 0) > 0) this.asked++;
    this.#open.add(fd);
  }
}
