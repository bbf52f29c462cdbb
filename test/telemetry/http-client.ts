/** Clients of a server under test: a well-behaved one, and raw connections that send anything. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export async function get(
  port: number,
  path: string,
  options: { method?: string; agent?: Agent } = {},
): Promise<Answer> {
  const { method = 'GET', agent = new Agent() } = options;
  const outgoing = request({ host: '127.0.0.1', port, path, method, agent });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}

/** A connection that collects what it receives. */
export class RawClient {
  readonly socket: Socket;
  received = '';
  /** Resolves when the connection is over, whichever side ended it. */
  readonly closed: Promise<void>;
  readonly #seen: (() => void)[] = [];

  /** @param from the source address, which identifies a client */
  constructor(port: number, from = '127.0.0.1') {
    this.socket = connect({ host: '127.0.0.1', port, localAddress: from });
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    this.socket.on('error', () => {});
    this.socket.on('data', (bytes: Buffer) => {
      this.received += bytes.toString('latin1');
      for (const check of this.#seen) check();
    });
  }

  async connected(): Promise<this> {
    await once(this.socket, 'connect');
    return this;
  }

  send(bytes: string): this {
    this.socket.write(bytes);
    return this;
  }

  /** Resolves when `part` has arrived. Rejects if the connection ends before. */
  async sees(part: string): Promise<void> {
    const seen = new Promise<void>((resolve) => {
      const check = () => this.received.includes(part) && resolve();
      this.#seen.push(check);
      check();
    });
    const over = this.closed.then(() => {
      if (!this.received.includes(part)) throw new Error(`the connection ended before ${JSON.stringify(part)} came`);
    });
    await Promise.race([seen, over]);
  }
}

export const GET_OK = 'GET /ok HTTP/1.1\r\nHost: node\r\n\r\n';
