/** Requests to the API server: credentials, TLS and proxies from the kubeconfig, with timeouts. */
import http from 'node:http';
import https from 'node:https';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { KubeConfig } from '@kubernetes/client-node';
import { errorOfStatus } from './api-error.ts';
import { type Clock, systemClock } from './clock.ts';
import { Silence } from './silence.ts';

/**
 * Milliseconds before the configuration is read again. Tokens and client certificates are rotated
 * in their files while podfence runs, and the library reads most of them only once. (client-go: a
 * minute for tokens, five for certificates.)
 */
const CONFIG_LIFETIME = 60_000;
/** TCP keep-alive, in ms: no middlebox forgets an idle connection. (client-go: 30 s.) */
const KEEP_ALIVE = 30_000;
/** Connections stay open for 10 s between requests, so that the pages of a list share one. */
const KEEP_CONNECTIONS = { keepAlive: true, timeout: 10_000 };
/** Milliseconds that a proxy may take to connect. */
const PROXY_LIMIT = 30_000;
/** Bytes of a decompressed chunk. Each chunk costs a round trip to another thread. */
const UNPACKED_CHUNK = 128 * 1024;
/** Read at most this many bytes of an error's body. */
const MAX_ERROR_BODY = 64 * 1024;
/** The server answers 202 to a deletion that it finishes later. */
const SUCCESSES: ReadonlySet<number> = new Set([200, 201, 202]);

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Milliseconds until the answer must begin. */
  readonly answerLimit: number;
  /** Milliseconds that may pass between two chunks of the answer. */
  readonly idleLimit: number;
  /**
   * Whether the answer may come compressed. The API server compresses lists, about tenfold, and
   * never watches.
   */
  readonly compressed?: boolean;
  /** Called when a successful answer begins. */
  readonly onAnswer?: () => void;
  /** Sends this change instead of a GET; the answer is its result. */
  readonly change?: Change;
}

export interface Change {
  readonly method: 'POST' | 'PATCH' | 'DELETE';
  /** Media type of the body. */
  readonly type: string;
  readonly body: string;
}

export class ApiConnection {
  readonly #load: () => KubeConfig;
  readonly #clock: Clock;
  /** Both agents pool connections by the client certificate of the request. */
  readonly #http = new http.Agent(KEEP_CONNECTIONS);
  readonly #https = new https.Agent(KEEP_CONNECTIONS);
  #config: KubeConfig;
  #loadedAt: number;

  /**
   * @param load returns the configuration; called at once, and again when credentials may have
   * changed
   * @throws whatever `load` throws
   */
  constructor(load: () => KubeConfig, clock: Clock = systemClock) {
    this.#load = load;
    this.#clock = clock;
    this.#config = load();
    this.#loadedAt = clock.now();
  }

  /** Address of the API server. */
  get server(): string {
    return this.#config.getCurrentCluster()?.server ?? '';
  }

  /** Makes the next request read the configuration and all credentials again. */
  forgetCredentials(): void {
    this.#loadedAt = Number.NEGATIVE_INFINITY;
  }

  /** Closes idle connections. */
  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  /**
   * Gets or changes `path` and yields the body as it arrives. Leaving the loop ends the request.
   * @param path below the server's address, with its query
   * @throws ApiError for a status other than success and for silence beyond a limit; whatever the
   * socket, TLS or credentials throw
   */
  async *read(path: string, options: ReadOptions): AsyncGenerator<Buffer, void, undefined> {
    const silence = new Silence(this.#clock, options.signal);
    try {
      silence.limit(options.answerLimit, 'the API server does not answer');
      const requestOptions = await silence.endWith(this.#requestOptions(options.compressed === true));
      const response = await this.#request(`${this.server}${path}`, requestOptions, silence, options.change);
      silence.onEnd((error) => response.destroy(error));
      if (!SUCCESSES.has(response.statusCode ?? 0)) throw await readError(response);
      options.onAnswer?.();
      silence.limit(options.idleLimit, 'the API server went silent');
      const body = decompress(response);
      for await (const chunk of body) {
        silence.pause();
        yield chunk as Buffer;
        silence.resume();
      }
    } finally {
      silence.end();
    }
  }

  #request(
    url: string,
    options: https.RequestOptions,
    silence: Silence,
    change: Change | undefined,
  ): Promise<http.IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const method = change?.method ?? 'GET';
    const request = (url.startsWith('https:') ? https : http).request(url, { ...options, method });
    if (change !== undefined) {
      request.setHeader('content-type', change.type);
      // Node sets no length for the body of a DELETE: the server would read the body as the next
      // request.
      request.setHeader('content-length', Buffer.byteLength(change.body));
    }
    silence.onEnd((error) => request.destroy(error));
    request.on('error', reject);
    request.on('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE));
    request.on('response', (response) => {
      // Errors reach the reader of the body. Without a listener, a later one would end the process.
      response.on('error', () => {});
      resolve(response);
    });
    request.end(change?.body);
    return promise;
  }

  async #requestOptions(compressed: boolean): Promise<https.RequestOptions> {
    if (this.#clock.now() - this.#loadedAt > CONFIG_LIFETIME) this.#reload();
    const headers: http.OutgoingHttpHeaders = { accept: 'application/json', 'user-agent': 'podfence' };
    if (compressed) headers['accept-encoding'] = 'gzip';
    // Only the proxies' agents use this timeout: it limits their handshake with the proxy.
    const options: https.RequestOptions = { headers, timeout: PROXY_LIMIT };
    await this.#config.applyToHTTPSOptions(options);
    // Token files may end with a newline, which a header may not contain.
    const { Authorization: token } = headers;
    if (typeof token === 'string') headers.Authorization = token.trim();
    // The library's own agent opens a connection for every request, but only it supports proxies.
    if (this.#config.getCurrentCluster()?.proxyUrl === undefined) {
      options.agent = this.server.startsWith('https:') ? this.#https : this.#http;
    }
    return options;
  }

  #reload(): void {
    // Keep the last configuration while the file is missing or half written; the next request
    // retries.
    try {
      this.#config = this.#load();
    } catch {
      return;
    }
    this.#loadedAt = this.#clock.now();
  }
}

function decompress(response: http.IncomingMessage): Readable {
  if (response.headers['content-encoding'] !== 'gzip') return response;
  // The reader of the decompressed stream gets the errors.
  return pipeline(response, createGunzip({ chunkSize: UNPACKED_CHUNK }), () => {});
}

async function readError(response: http.IncomingMessage): Promise<Error> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_ERROR_BODY) break;
  }
  const status = response.statusCode ?? 0;
  return errorOfStatus(status, parseBody(Buffer.concat(chunks).toString()), response.headers['retry-after']);
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.trim().slice(0, 200) };
  }
}
