/** Requests to the API server: credentials, TLS and proxies from the kubeconfig, and a limit for every silence. */
import http from 'node:http';
import https from 'node:https';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { KubeConfig } from '@kubernetes/client-node';
import { errorOfStatus } from './api-error.ts';
import { type Clock, systemClock } from './clock.ts';
import { Silence } from './silence.ts';

/**
 * How long a configuration is used before it is read again, in ms: tokens and client certificates are replaced in their files while
 * podfence runs, and the library reads most of them only once. (client-go: a minute for tokens, five for certificates.)
 */
const CONFIG_LIFETIME = 60_000;
/** Idle TCP connections are probed after this, in ms, so that nothing in between forgets them (client-go: 30 s). */
const KEEP_ALIVE = 30_000;
/** Connections between two requests are kept for some ms: the pages of a list use one. */
const KEEP_CONNECTIONS = { keepAlive: true, timeout: 10_000 };
/** A proxy must have connected after this, in ms. */
const PROXY_LIMIT = 30_000;
/** Bytes of a chunk of what comes compressed. Each costs a way to another thread and back. */
const UNPACKED_CHUNK = 128 * 1024;
/** Of an error's body, so many bytes are read. */
const MAX_ERROR_BODY = 64 * 1024;
/** A deletion that takes its time is accepted with 202. */
const SUCCESSES: ReadonlySet<number> = new Set([200, 201, 202]);

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Milliseconds until the answer must have begun. */
  readonly answerLimit: number;
  /** Milliseconds that the answer may pause. */
  readonly idleLimit: number;
  /** Whether the answer may come compressed. The API server compresses lists, about tenfold, and never watches. */
  readonly compressed?: boolean;
  /** Called when the answer begins, and is a success. */
  readonly onAnswer?: () => void;
  /** Changes what is there instead of getting it; the answer is what came of it. */
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
  /** Both keep connections apart by the certificates that a request gives. */
  readonly #http = new http.Agent(KEEP_CONNECTIONS);
  readonly #https = new https.Agent(KEEP_CONNECTIONS);
  #config: KubeConfig;
  #loadedAt: number;

  /**
   * @param load gives the configuration; called at once, and again when credentials may have changed
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

  /** The next request reads the configuration and all credentials again. */
  forgetCredentials(): void {
    this.#loadedAt = Number.NEGATIVE_INFINITY;
  }

  /** Closes connections that nothing uses at the moment. */
  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  /**
   * Gets or changes `path` and yields its body as it comes. Leaving the loop ends the request.
   * @param path below the server's address, with its query
   * @throws ApiError where the status is no success, or silence lasts too long; whatever socket, TLS or credentials throw
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
      // Node gives no length for the body of a DELETE, and the server would read it as the next request.
      request.setHeader('content-length', Buffer.byteLength(change.body));
    }
    silence.onEnd((error) => request.destroy(error));
    request.on('error', reject);
    request.on('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE));
    request.on('response', (response) => {
      // Errors reach whoever reads the body; one that comes later has nobody to go to.
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
    // Of use to the proxies' agents only: it bounds their own exchange with the proxy.
    const options: https.RequestOptions = { headers, timeout: PROXY_LIMIT };
    await this.#config.applyToHTTPSOptions(options);
    // Tokens are read from files that may end with a newline, which no header may hold.
    const { Authorization: token } = headers;
    if (typeof token === 'string') headers.Authorization = token.trim();
    // The library's own agent opens a connection for every request; for proxies it is needed.
    if (this.#config.getCurrentCluster()?.proxyUrl === undefined) {
      options.agent = this.server.startsWith('https:') ? this.#https : this.#http;
    }
    return options;
  }

  #reload(): void {
    // What is being written at this moment, or is gone, leaves the last configuration in force until the next attempt.
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
  // Errors end the reading of the decompressed side.
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
