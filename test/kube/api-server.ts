/**
 * A Kubernetes API server for tests: list and watch of Namespaces, Pods, NetworkPolicies,
 * Services and Nodes, over real HTTP. It has versions, pages, bookmarks, streaming lists
 * and expired history like the real one, and every fault that a test asks for
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/).
 *
 *     const server = await TestApiServer.start();
 *     server.set(pod('default', 'web', { ip: '10.0.0.1' }));
 *     writeFileSync(path, server.kubeConfig());       // podfence agent --kubeconfig path
 *     server.fail({ type: 'list', answer: { status: 500 } });
 *     server.watches('Pod').forEach((watch) => watch.cut());
 *     await server.stop();
 *
 * In a process of its own: api-server-process.ts.
 */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type Fault, Faults, type RequestType } from './faults.ts';
import { type ApiObject, type Kind, ObjectHistory } from './object-history.ts';
import { type Asked, ServedLists, sendStatus } from './served-lists.ts';
import { ServedNodes } from './served-nodes.ts';
import type { ServedWatch } from './served-watch.ts';
import { ServedWatches, type StreamingLists } from './served-watches.ts';

export interface ApiServerOptions {
  /** @default 127.0.0.1 */
  readonly host?: string;
  /** @default any free port */
  readonly port?: number;
  /** PEM texts. With `clientCa` only clients with a certificate signed by it are accepted. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string; readonly clientCa?: string };
  /**
   * Streaming lists: served, refused with 422 as with the feature off, or ignored as by an old
   * server. @default 'served'
   */
  readonly streamingLists?: StreamingLists;
  /** How a watch learns that its version is too old. @default 'status' */
  readonly goneAs?: 'status' | 'event';
  /** Bytes from which a list is compressed, if the client accepts that. @default never */
  readonly compressFrom?: number;
  /** Milliseconds between automatic bookmarks. @default none; see `bookmark()` */
  readonly bookmarkInterval?: number;
}

export interface LoggedRequest {
  readonly type: RequestType;
  readonly kind: Kind;
  readonly query: Readonly<Record<string, string>>;
  readonly authorization: string | undefined;
  /** The client's port: the same for two requests over one connection. */
  readonly clientPort: number | undefined;
}

/** What a kubeconfig's user authenticates with; see client-go's AuthInfo. */
export type KubeConfigUser = Readonly<Record<string, unknown>>;

const PATHS: Readonly<Record<string, Kind>> = {
  '/api/v1/namespaces': 'Namespace',
  '/api/v1/pods': 'Pod',
  '/apis/networking.k8s.io/v1/networkpolicies': 'NetworkPolicy',
  '/api/v1/services': 'Service',
  '/api/v1/nodes': 'Node',
};

export class TestApiServer {
  readonly history = new ObjectHistory();
  readonly nodes = new ServedNodes();
  readonly #options: ApiServerOptions;
  readonly #server: http.Server;
  readonly #sockets = new Set<Socket>();
  readonly #faults = new Faults();
  readonly #lists: ServedLists;
  readonly #watches: ServedWatches;
  #requests: LoggedRequest[] = [];
  #tokens: readonly string[] | undefined;
  #bookmarks: NodeJS.Timeout | undefined;

  /** Starts listening. */
  static async start(options: ApiServerOptions = {}): Promise<TestApiServer> {
    const server = new TestApiServer(options);
    await server.listen(options.port ?? 0);
    return server;
  }

  private constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#lists = new ServedLists(this.history, options.compressFrom);
    this.#watches = new ServedWatches(this.history, options.streamingLists ?? 'served', options.goneAs ?? 'status');
    const handle = (request: IncomingMessage, response: ServerResponse) => this.#handle(request, response);
    const { tls } = options;
    this.#server =
      tls === undefined
        ? http.createServer(handle)
        : https.createServer({ ...tls, ca: tls.clientCa, requestCert: true, rejectUnauthorized: false }, handle);
    // Clients keep their connections as long as they like, as with the real one.
    this.#server.keepAliveTimeout = 120_000;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** @param host address for clients, if it is not the address that the server listens on */
  url(host = this.#options.host ?? '127.0.0.1'): string {
    return `${this.#options.tls === undefined ? 'http' : 'https'}://${host}:${this.port}`;
  }

  /** Returns a kubeconfig for this server. */
  kubeConfig(user: KubeConfigUser = { token: 'secret' }, host?: string, cluster: object = {}): string {
    const { tls } = this.#options;
    const trust =
      tls === undefined
        ? { 'insecure-skip-tls-verify': true }
        : { 'certificate-authority-data': Buffer.from(tls.ca).toString('base64') };
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      clusters: [{ name: 'test', cluster: { server: this.url(host), ...trust, ...cluster } }],
      users: [{ name: 'test', user }],
    });
  }

  /** Listens again after `stop`, or for the first time. */
  listen(port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(port, this.#options.host ?? '127.0.0.1', resolve);
    const { bookmarkInterval } = this.#options;
    if (bookmarkInterval !== undefined) this.#bookmarks = setInterval(() => this.bookmark(), bookmarkInterval);
    return promise;
  }

  /** Stops listening and cuts every connection. It keeps its objects, and can `listen` again. */
  stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    clearInterval(this.#bookmarks);
    this.#server.close(() => resolve());
    for (const socket of this.#sockets) socket.destroy();
    return promise;
  }

  /** Creates or replaces an object. Returns its resourceVersion. */
  set(object: ApiObject): string {
    return this.history.set(object);
  }

  delete(kind: Kind, namespace: string | undefined, name: string): boolean {
    return this.history.delete(kind, namespace, name);
  }

  /**
   * Forgets its history: every older resourceVersion and continue token expires. Open watches go
   * on.
   */
  compact(): void {
    this.history.compact();
    this.#lists.forget();
  }

  /** Sends a bookmark with the newest version to open watches. */
  bookmark(kind?: Kind): void {
    for (const watch of this.watches(kind)) watch.bookmark(this.history.version);
  }

  /** Returns the open watches. */
  watches(kind?: Kind): ServedWatch[] {
    return this.#watches.open(kind);
  }

  /** Number of open TCP connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Returns all requests so far, oldest first. */
  requests(type?: RequestType, kind?: Kind): LoggedRequest[] {
    return this.#requests.filter(
      (request) => (type === undefined || request.type === type) && (kind === undefined || request.kind === kind),
    );
  }

  /** Makes requests fail. Faults apply in the order in which they were added. */
  fail(fault: Fault): void {
    this.#faults.add(fault);
  }

  /** Returns how many faults added with `fail` have not been used yet. */
  faultsLeft(): number {
    return this.#faults.left;
  }

  /** Drops all remaining faults. */
  heal(): void {
    this.#faults.clear();
  }

  /**
   * Accepts only these bearer tokens from now on, or any if undefined. Open watches go on, as on a
   * real server.
   */
  acceptTokens(tokens: readonly string[] | undefined): void {
    this.#tokens = tokens;
  }

  serveStreamingLists(how: StreamingLists): void {
    this.#watches.streamingLists = how;
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const isKnown = this.#isKnown(request);
    if (this.nodes.answer(request, response, isKnown)) return;
    const url = new URL(request.url ?? '/', 'http://server');
    const kind = PATHS[url.pathname];
    if (request.method !== 'GET' || kind === undefined) {
      sendStatus(response, { status: 404, reason: 'NotFound' });
      return;
    }
    const query = Object.fromEntries(url.searchParams);
    const type = query.watch !== 'true' ? 'list' : query.sendInitialEvents === 'true' ? 'streaming-list' : 'watch';
    const { authorization } = request.headers;
    this.#requests.push({ type, kind, query, authorization, clientPort: request.socket.remotePort });
    if (isKnown) this.#answer(type, { kind, query, request, response });
    else sendStatus(response, { status: 401, reason: 'Unauthorized' });
  }

  #answer(type: RequestType, asked: Asked): void {
    const { request, response, kind } = asked;
    const fault = this.#faults.take(type, kind);
    if (fault === 'hang') return;
    if (fault === 'cut') request.socket.destroy();
    else if (typeof fault === 'object' && 'body' in fault) response.end(fault.body);
    else if (typeof fault === 'object') sendStatus(response, fault);
    else if (type === 'list') this.#lists.answer(asked, fault);
    else this.#watches.answer(asked);
  }

  #isKnown(request: IncomingMessage): boolean {
    if (this.#options.tls?.clientCa !== undefined && !(request.socket as { authorized?: boolean }).authorized)
      return false;
    const token = request.headers.authorization?.replace(/^Bearer /, '');
    return this.#tokens === undefined || (token !== undefined && this.#tokens.includes(token));
  }
}
