/** A connection that stays open and is used again and again: does a policy change reach it? */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, isIPv6, type Socket } from 'node:net';
import { afterLimit, resultOf } from './attempts.ts';
import type { Protocol } from './plan.ts';
import type { Result } from './report-line.ts';

export interface HeldConnection {
  /** Sends one more question. After the result `closed`, do not ask again. */
  ask(): Promise<Result>;
  close(): void;
}

export function holdConnection(protocol: Protocol, address: string, port: number): HeldConnection {
  return protocol === 'TCP' ? new HeldTcp(address, port) : new HeldUdp(address, port);
}

/** Questions without an answer so far. */
class Questions {
  readonly #open = new Map<string, (result: Result) => void>();
  #asked = 0;

  ask(send: (question: string) => void): Promise<Result> {
    const { promise, resolve } = Promise.withResolvers<Result>();
    const question = `${this.#asked++}\n`;
    const cancel = afterLimit(() => this.settle(question, 'silent'));
    this.#open.set(question, (result) => {
      cancel();
      resolve(result);
    });
    send(question);
    return promise;
  }

  settle(question: string, result: Result): void {
    this.#open.get(question)?.(result);
    this.#open.delete(question);
  }

  settleOldest(result: Result): void {
    const [oldest] = this.#open.keys();
    if (oldest !== undefined) this.settle(oldest, result);
  }

  settleAll(result: Result): void {
    for (const question of [...this.#open.keys()]) this.settle(question, result);
  }
}

class HeldTcp implements HeldConnection {
  readonly #address: string;
  readonly #port: number;
  readonly #questions = new Questions();
  #socket: Socket | undefined;
  #rest = '';
  /** It was open once: if it ends from now on, that is the result, and nothing reconnects. */
  #wasOpen = false;

  constructor(address: string, port: number) {
    this.#address = address;
    this.#port = port;
  }

  async ask(): Promise<Result> {
    this.#socket ??= this.#connect();
    const socket = this.#socket;
    if (this.#wasOpen && socket.destroyed) return 'closed';
    const result = await this.#questions.ask((question) => socket.write(question));
    // The connection never opened, so there is none to hold: the next attempt connects anew.
    if (result === 'silent' && !this.#wasOpen && socket === this.#socket) this.#drop('silent');
    return result;
  }

  close(): void {
    this.#socket?.destroy();
  }

  #connect(): Socket {
    const socket = connect({ host: this.#address, port: this.#port, noDelay: true });
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      this.#wasOpen = true;
      for (const line of lines) this.#questions.settle(`${line}\n`, 'answered');
    });
    socket.on('error', (error) => {
      if (!this.#wasOpen && socket === this.#socket) this.#drop(resultOf(error));
    });
    socket.on('close', () => {
      if (socket !== this.#socket) return;
      if (this.#wasOpen) this.#questions.settleAll('closed');
      else this.#drop('refused');
    });
    return socket;
  }

  #drop(result: Result): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#rest = '';
    socket?.destroy();
    this.#questions.settleAll(result);
  }
}

/** One socket, so all datagrams belong to one flow. */
class HeldUdp implements HeldConnection {
  readonly #questions = new Questions();
  readonly #socket: UdpSocket;
  readonly #connected: Promise<Result | undefined>;

  constructor(address: string, port: number) {
    this.#socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const { promise, resolve } = Promise.withResolvers<Result | undefined>();
    this.#connected = promise;
    // An ICMP error does not say which question it answers.
    this.#socket.on('error', (error) => this.#questions.settleOldest(resultOf(error)));
    this.#socket.on('message', (message) => this.#questions.settle(message.toString('latin1'), 'answered'));
    this.#socket.connect(port, address, (error?: NodeJS.ErrnoException) => resolve(error && resultOf(error)));
  }

  async ask(): Promise<Result> {
    const failure = await this.#connected;
    if (failure !== undefined) return failure;
    return await this.#questions.ask((question) => {
      this.#socket.send(question, (error) => error && this.#questions.settle(question, resultOf(error)));
    });
  }

  close(): void {
    this.#socket.close();
  }
}
