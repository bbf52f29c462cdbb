/**
 * A small HTTP server for metrics, probes and questions: GET and HEAD of fixed paths. It shares the
 * agent's main thread and listens on the node's addresses. So no client, however slow, broken or
 * greedy, may cost the agent more than a bounded amount of memory, connections and time.
 */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Logger } from 'pino';
import { Connections } from './connections.ts';
import { type ListenAddress, listenFailed, parseListenAddress } from './listen-address.ts';
import { type Reply, type Route, text } from './route.ts';

/** Times in ms. */
export interface Limits {
  /** Open at once; connections.ts says which one is closed when there are more. @default 64 */
  readonly connections: number;
  /**
   * From the connection, or the first byte of a later request, to the request's last byte.
   * @default 5000
   */
  readonly request: number;
  /** How long an answer may go on without a byte read or written. @default 30000 */
  readonly stalled: number;
  /**
   * Between two requests of a connection; a little more than the usual interval of scrapes.
   * @default 65000
   */
  readonly idle: number;
  /** For requests under way when the server stops. @default 1000 */
  readonly stop: number;
  /** Interval between two checks of these times. @default 1000 */
  readonly check: number;
}

const LIMITS: Limits = {
  connections: 64,
  request: 5000,
  stalled: 30_000,
  idle: 65_000,
  stop: 1000,
  check: 1000,
};

/** Request line and headers, in bytes. */
const MAX_HEADER_SIZE = 8192;

export interface HttpServerOptions {
  /** As parseListenAddress reads it. */
  readonly address: string;
  readonly routes: readonly Route[];
  /**
   * Returns why a request is refused, judging by its headers: the client gets 403 and that text.
   * @default refuses none
   */
  readonly refuse?: (headers: IncomingHttpHeaders) => string | undefined;
  readonly log: Logger;
  readonly limits?: Partial<Limits>;
}

export class HttpServer {
  readonly #address: ListenAddress;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #refuse: (headers: IncomingHttpHeaders) => string | undefined;
  readonly #log: Logger;
  readonly #limits: Limits;
  readonly #server: Server;
  readonly #connections: Connections;
  /** Requests being answered, by connection. */
  readonly #requests = new Map<Socket, AbortController>();

  /** Throws a ListenError with INVALID_ADDRESS. */
  constructor({ address, routes, refuse = () => undefined, log, limits }: HttpServerOptions) {
    this.#address = parseListenAddress(address);
    this.#routes = new Map(routes.map((route) => [route.path, route]));
    this.#refuse = refuse;
    this.#log = log;
    this.#limits = { ...LIMITS, ...limits };
    this.#connections = new Connections(this.#limits.connections);
    this.#server = createServer({
      maxHeaderSize: MAX_HEADER_SIZE,
      requestTimeout: this.#limits.request,
      keepAliveTimeout: this.#limits.idle,
      connectionsCheckingInterval: this.#limits.check,
    });
    this.#server.timeout = this.#limits.stalled;
    this.#server.on('connection', (socket) => this.#connections.add(socket));
    this.#server.on('request', (request, response) => this.#take(request, response));
  }

  /**
   * Starts serving. Returns the address, with the port that the kernel chose if it was 0. Throws a
   * ListenError.
   */
  async start(): Promise<ListenAddress> {
    const server = this.#server;
    const { host, port } = this.#address;
    await new Promise<void>((resolve, reject) => {
      const failed = (error: Error) => reject(listenFailed(this.#address, error));
      server.once('error', failed);
      server.listen({ port, ...(host !== undefined && { host }) }, () => {
        server.off('error', failed);
        resolve();
      });
    });
    // When file descriptors run out, for example. The other connections are still served.
    server.on('error', (error) => this.#log.warn({ err: error }, 'could not accept a connection'));
    return { host, port: (server.address() as AddressInfo).port };
  }

  /**
   * Resolves when nothing listens and no connection is open. Pending requests get `limits.stop`;
   * streamed answers end at once.
   */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const request of this.#requests.values()) request.abort();
    for (const socket of this.#connections) if (!this.#requests.has(socket)) socket.destroy();
    const timer = setTimeout(() => this.#server.closeAllConnections(), this.#limits.stop);
    await closed;
    clearTimeout(timer);
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    // A second request before the first answer: no scraper, probe or browser sends one, and one
    // packet could carry thousands.
    if (this.#requests.has(socket)) {
      socket.destroy();
      return;
    }
    const controller = new AbortController();
    this.#requests.set(socket, controller);
    this.#connections.use(socket);
    response.once('close', () => {
      this.#requests.delete(socket);
      controller.abort();
    });
    this.#answer(request, response, controller.signal).catch((error: unknown) => {
      if (!isEndOfConnection(error)) this.#log.error({ err: error, path: request.url }, 'could not complete an answer');
      socket.destroy();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { status, type, body } = await this.#reply(request, response, signal);
    const whole = typeof body === 'string';
    response.writeHead(status, {
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(whole && { 'content-length': Buffer.byteLength(body) }),
    });
    if (request.method === 'HEAD') response.end();
    else if (whole) response.end(body);
    else {
      response.flushHeaders();
      await pipeline(Readable.from(body), response, { signal });
    }
  }

  async #reply(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<Reply> {
    const { method, headers, url = '' } = request;
    // Bodies have no meaning here. The server does not read them, nor what follows on the
    // connection.
    if (Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined) {
      response.setHeader('connection', 'close');
    }
    const refused = this.#refuse(headers);
    if (refused !== undefined) return text(403, refused);
    const queryAt = url.indexOf('?');
    const path = queryAt < 0 ? url : url.slice(0, queryAt);
    const route = this.#routes.get(path);
    if (route === undefined) return text(404, this.#list());
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return text(405, `${path} takes GET and HEAD`);
    }
    try {
      return await route.handle({ query: new URLSearchParams(queryAt < 0 ? '' : url.slice(queryAt)), signal });
    } catch (error) {
      if (!signal.aborted) this.#log.error({ err: error, path }, 'could not answer a request');
      return text(500, 'the agent could not answer this; its log says why');
    }
  }

  #list(): string {
    const width = Math.max(...Array.from(this.#routes.keys(), (path) => path.length));
    const lines = Array.from(this.#routes.values(), ({ path, summary }) => `${path.padEnd(width)}  ${summary}`);
    return ['there is', ...lines].join('\n');
  }
}

/** Whether a streamed answer broke off because the client disconnected or the server stops. */
function isEndOfConnection(error: unknown): boolean {
  const { name, code } = error as { name?: string; code?: string };
  return name === 'AbortError' || code === 'ERR_STREAM_PREMATURE_CLOSE';
}
