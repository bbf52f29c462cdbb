/**
 * The connection to this node's container runtime, for as long as the agent runs: waits for the
 * runtime's socket, registers, and registers again when the runtime has restarted or has dropped
 * the session. It never throws; its state says what is the case.
 */
import { createConnection, Socket } from 'node:net';
import { Backoff } from '../kube/backoff.ts';
import { type Clock, systemClock, wait } from '../kube/clock.ts';
import { NriError } from './error.ts';
import { type PluginHandlers, PluginSession, type RuntimeInfo } from './plugin-session.ts';
import { DEFAULT_SOCKET_PATH } from './socket-path.ts';

/**
 * - `absent` nobody listens at the socket: a runtime without NRI, or one that is not there
 * - `connecting` the runtime has not finished registering podfence: see PluginSession.registered
 *   for how long that can take
 * - `registered` sandboxes are reported from here on
 * - `failed` it is tried again
 */
export type RuntimeState =
  | { readonly kind: 'absent' }
  | { readonly kind: 'connecting' }
  | { readonly kind: 'registered'; readonly runtime: RuntimeInfo }
  | { readonly kind: 'failed'; readonly reason: NriError };

export interface RuntimeConnectionOptions {
  readonly handlers: PluginHandlers;
  /** Is called after every change of the state. */
  readonly onState: (state: RuntimeState) => void;
  /**
   * Whether no pod of the node is being stopped. While the runtime waits for a pod to end, it
   * finishes no registration, and while a registration waits, it starts no pod. So the connection
   * waits for a moment in which this is true, but for PATIENCE at most. @default always
   */
  readonly isQuiet?: () => boolean;
  /** @default `/var/run/nri/nri.sock` */
  readonly socketPath?: string;
  /**
   * Two digits: where podfence stands among the plugins of the runtime.
   * @default `90`: what refuses a sandbox for other reasons comes first
   */
  readonly index?: string;
  /** @default the system's */
  readonly clock?: Clock;
  /** Numbers from 0 to below 1. @default Math.random */
  readonly random?: () => number;
}

/** Pauses in ms between looks for a socket that was never there, and for one that was. */
const PAUSE_UNSEEN = 10_000;
const PAUSE_SEEN = 200;
/** Longest wait for a quiet moment, in ms: Kubernetes' default grace period of a pod. */
const PATIENCE = 30_000;
/** After a session of this many ms the next pause is short again. */
const GOOD_SESSION = 10_000;
/** connect(2) fails with these where no runtime is: no socket, or one that nobody serves. */
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ECONNREFUSED']);

export class RuntimeConnection {
  readonly #options: RuntimeConnectionOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  #state: RuntimeState = { kind: 'connecting' };
  #hasBeenThere = false;
  /** Since when it waits for a quiet moment, in ms of the clock. */
  #patientSince: number | undefined;
  #session: PluginSession | undefined;
  #running: Promise<void> | undefined;

  constructor(options: RuntimeConnectionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#backoff = new Backoff(options.random ?? Math.random);
  }

  /** `connecting` at first. */
  get state(): RuntimeState {
    return this.#state;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when the connection is closed. The runtime goes on without podfence at once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#session?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) await wait(this.#clock, await this.#attempt(), signal);
  }

  /** Lives through one session at most. Resolves with the ms to wait before the next. */
  async #attempt(): Promise<number> {
    const { socketPath = DEFAULT_SOCKET_PATH, isQuiet = () => true } = this.#options;
    this.#patientSince ??= this.#clock.now();
    if (!isQuiet() && this.#clock.now() - this.#patientSince < PATIENCE) return PAUSE_SEEN;
    this.#patientSince = undefined;
    const socket = await connectTo(socketPath);
    if (this.#stopping.signal.aborted) {
      if (socket instanceof Socket) socket.destroy();
      return 0;
    }
    if (socket instanceof Socket) {
      this.#hasBeenThere = true;
      return await this.#serve(socket);
    }
    if (ABSENT.has(socket.code ?? '')) {
      this.#enter({ kind: 'absent' });
      return this.#hasBeenThere ? PAUSE_SEEN : PAUSE_UNSEEN;
    }
    this.#enter({ kind: 'failed', reason: new NriError('connection', `${socketPath}: ${socket.message}`, socket) });
    return this.#backoff.next();
  }

  async #serve(socket: Socket): Promise<number> {
    const { handlers, index = '90' } = this.#options;
    this.#enter({ kind: 'connecting' });
    this.#session = new PluginSession(socket, { handlers, index });
    const { registered, closed } = this.#session;
    let since = Infinity;
    registered.then(
      (runtime) => {
        since = this.#clock.now();
        this.#enter({ kind: 'registered', runtime });
      },
      () => {},
    );
    const reason = await closed;
    this.#session = undefined;
    if (this.#stopping.signal.aborted) return 0;
    this.#enter({ kind: 'failed', reason });
    if (this.#clock.now() - since >= GOOD_SESSION) this.#backoff.reset();
    return this.#backoff.next();
  }

  #enter(state: RuntimeState): void {
    const isNews = state.kind !== this.#state.kind || state.kind === 'failed';
    this.#state = state;
    if (isNews) this.#options.onState(state);
  }
}

/** Resolves with the connected socket, or with the reason why there is none. */
function connectTo(path: string): Promise<Socket | NodeJS.ErrnoException> {
  const { promise, resolve } = Promise.withResolvers<Socket | NodeJS.ErrnoException>();
  const socket = createConnection(path);
  socket.once('error', resolve);
  socket.once('connect', () => {
    socket.off('error', resolve);
    resolve(socket);
  });
  return promise;
}
