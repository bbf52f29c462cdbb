/**
 * Connections that stay open while policies change. Both sides send numbered messages all the time,
 * so that a test can tell which of them arrived: those sent before a change, those sent after it,
 * or all of them without a gap.
 *
 * The sockets belong to this process. They are made in the namespaces of their pods and served from
 * its event loop, so "sent after the change is in force" needs no comparison of clocks: it is every
 * number from the moment at which the test continues.
 */
import type { LabHost } from '../../src/lab/lab.ts';
import { socketAddress } from '../../src/sys/sockets.ts';
import { patience } from '../patience.ts';

/** How often the sockets are served, in ms, and how many messages each side then sends. */
const TICK = 1;
const BURST = 2;
/**
 * How long a message that must arrive may take, in ms: longer than TCP's retransmissions after a
 * cut.
 */
const PATIENCE = patience(8000);
/** How long to watch that nothing arrives, in ms: a few hundred messages from each side. */
const WATCH = 300;

/** One side of a stream. */
export class Side {
  /** Messages sent so far, which is the number of the next one. */
  sent = 0;
  /** How often each message of the other side arrived. */
  readonly received: number[] = [];
  arrivals = 0;

  /** Returns how many different messages from number `first` on arrived. */
  receivedFrom(first: number): number {
    let count = 0;
    for (let number = first; number < this.received.length; number++) if (this.received[number]) count++;
    return count;
  }

  /** Returns which of the first `sent` messages of the other side did not arrive. */
  missing(sent: number): readonly number[] {
    const numbers: number[] = [];
    for (let number = 0; number < sent; number++) if (!this.received[number]) numbers.push(number);
    return numbers;
  }

  note(number: number): void {
    this.received[number] = (this.received[number] ?? 0) + 1;
    this.arrivals++;
  }
}

/** A moment in a stream: the numbers of the next messages. */
export interface Moment {
  readonly fromClient: number;
  readonly fromServer: number;
}

/** How many messages went through, each way. */
export interface Passage {
  readonly toServer: number;
  readonly toClient: number;
}

/** The numbers of messages that did not arrive. */
export interface Losses {
  readonly toServer: readonly number[];
  readonly toClient: readonly number[];
}

export interface StreamOptions {
  readonly from: LabHost;
  readonly to: LabHost;
  /** The server's port, on which the lab does not listen. */
  readonly port: number;
  /** The client's port. @default any */
  readonly sourcePort?: number;
  /** Where the client sends to. @default the server's first address, and its port */
  readonly target?: Target;
}

export interface Target {
  readonly address: string;
  readonly port: number;
}

let streams = 0;

export abstract class Stream implements Disposable {
  readonly client = new Side();
  readonly server = new Side();
  /** The error that ended it, if one of the sides got one: ECONNRESET, … */
  ending: string | undefined;
  protected readonly id = ++streams;
  protected readonly target: Uint8Array;
  protected paused = false;
  #timer: NodeJS.Timeout | undefined;

  protected constructor({ address, port }: Target) {
    this.target = socketAddress(address, port);
  }

  /** Subclasses call it when their sockets exist. */
  protected start(): void {
    this.#timer = setInterval(() => this.#serve(), TICK);
  }

  /** Returns the current moment: its numbers belong to messages that are yet to be sent. */
  moment(): Moment {
    return { fromClient: this.client.sent, fromServer: this.server.sent };
  }

  /** Returns how many of the messages sent since have arrived. */
  passedSince({ fromClient, fromServer }: Moment): Passage {
    return { toServer: this.server.receivedFrom(fromClient), toClient: this.client.receivedFrom(fromServer) };
  }

  /** Resolves when messages that are sent from now on arrive at both sides. */
  async flows(count = 20): Promise<void> {
    const since = this.moment();
    await this.#until(`messages both ways since ${JSON.stringify(since)}`, () => {
      const { toServer, toClient } = this.passedSince(since);
      return toServer >= count && toClient >= count;
    });
  }

  /**
   * Resolves when every message sent so far has arrived, so that none of them waits in a queue.
   * Await this before a process that reads the queue is killed: the kernel drops what waits there.
   */
  async arrived(): Promise<void> {
    const { fromClient, fromServer } = this.moment();
    const isComplete = () =>
      this.server.missing(fromClient).length === 0 && this.client.missing(fromServer).length === 0;
    await this.#until(`all of ${fromClient} and ${fromServer} messages`, isComplete);
  }

  /**
   * Returns how many of the messages that both sides send from now on arrive within the time in
   * which they would. Only here must a test wait and see, because no event reports that nothing
   * arrives.
   */
  async watch(): Promise<Passage> {
    const since = this.moment();
    await new Promise((resolve) => setTimeout(resolve, WATCH));
    return this.passedSince(since);
  }

  /**
   * Lets pending messages arrive, and returns the numbers of all messages since the beginning that
   * did not.
   */
  async lost(): Promise<Losses> {
    this.paused = true;
    const lost = () => ({
      toServer: this.server.missing(this.client.sent),
      toClient: this.client.missing(this.server.sent),
    });
    await this.#until('all messages', () => Object.values(lost()).flat().length === 0).catch(() => undefined);
    this.paused = false;
    return lost();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.closeSockets();
  }

  protected abstract receiveAll(): void;
  protected abstract sendBurst(count: number): void;
  protected abstract closeSockets(): void;

  #serve(): void {
    this.receiveAll();
    if (!this.paused) this.sendBurst(BURST);
  }

  /** Checks `holds` every TICK. */
  #until(what: string, holds: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const failing = setTimeout(() => {
      const { client, server, ending } = this;
      const state = `client sent ${client.sent} got ${client.arrivals}, server sent ${server.sent} got ${server.arrivals}`;
      reject(new Error(`timed out waiting for ${what}: ${state}, ended by ${ending ?? 'nothing'}`));
    }, PATIENCE);
    const checking = setInterval(() => {
      if (holds()) resolve();
    }, TICK);
    return promise.finally(() => {
      clearTimeout(failing);
      clearInterval(checking);
    });
  }
}
