/**
 * One session of podfence with the container runtime, as an NRI plugin, over a stream that somebody
 * else opened.
 *
 * podfence registers. The runtime then configures it, tells it of all pods that exist, and from
 * there on asks it about each pod's sandbox: before the containers of a new one start, before the
 * network of one is taken down, and when one is removed. The runtime makes one call at a time, and
 * holds up all pods of the node until it is answered.
 */
import type { Duplex } from 'node:stream';
import { NriError } from './error.ts';
import {
  type ConfigureRequest,
  decodeConfigureRequest,
  decodePodRequest,
  decodeStateChangeEvent,
  decodeSynchronizeRequest,
  encodeConfigureResponse,
  encodeRegisterPluginRequest,
  encodeSynchronizeResponse,
  PLUGIN_SERVICE_NAME,
  type PodSandbox,
  REMOVE_POD_SANDBOX,
  RUN_POD_SANDBOX,
  RUNTIME_SERVICE_NAME,
  STOP_POD_SANDBOX,
} from './messages.ts';
import { Mux, PLUGIN_SERVICE, RUNTIME_SERVICE } from './mux.ts';
import { type SandboxPod, sandboxPod } from './sandbox-pod.ts';
import { CallError, TtrpcClient, TtrpcServer, UNIMPLEMENTED } from './ttrpc.ts';

/**
 * Called for the runtime's events. The runtime waits until the promise is settled, for
 * `requestTimeout` at most. A handler that takes longer may still run when the next session begins.
 */
export interface PluginHandlers {
  /**
   * The pods that exist when the session begins, without those that are known to be stopped (CRI-O
   * does not let them be told apart). Comes before all other calls.
   */
  onSynchronized(pods: readonly SandboxPod[]): Promise<void> | void;
  /**
   * A sandbox has its network, and no container yet. If this rejects, the runtime refuses the pod
   * with the error's message in an event, and reports the sandbox as stopped and removed; it does
   * the same if a later plugin refuses. The kubelet tries again with a new sandbox, about 15 s
   * later.
   */
  onRun(pod: SandboxPod): Promise<void> | void;
  /**
   * The containers of a sandbox have ended, and its network is taken down next. May come again for
   * the same sandbox.
   */
  onStop(pod: SandboxPod): Promise<void> | void;
  /** A stopped sandbox is removed: seconds after it was stopped, or when its pod is deleted. */
  onRemove(pod: SandboxPod): Promise<void> | void;
}

export interface RuntimeInfo {
  /** `containerd`, `cri-o`. */
  readonly name: string;
  readonly version: string;
  /**
   * How long the runtime waits for an answer, in ms; then it goes on without podfence and drops the
   * session.
   */
  readonly requestTimeout: number;
}

export interface PluginOptions {
  readonly handlers: PluginHandlers;
  /** Two digits. The runtime calls plugins in the order of their indexes. */
  readonly index: string;
}

/** Letters, digits and `-_.+` are allowed. (api.CheckPluginName) */
const NAME = 'podfence';
/** If the runtime does not say: NRI's default. (api.DefaultPluginRequestTimeout) */
const DEFAULT_REQUEST_TIMEOUT = 2000;
/** The most pods that Synchronize may name. A node has hundreds. */
const MOST_PODS = 65_536;

/**
 * Calls of the runtime about events to which podfence does not subscribe. Should one come, it is
 * answered by an empty message: nothing to change. (api.proto, service Plugin)
 */
const UNUSED_METHODS = new Set([
  'UpdatePodSandbox',
  'PostUpdatePodSandbox',
  'CreateContainer',
  'PostCreateContainer',
  'StartContainer',
  'PostStartContainer',
  'UpdateContainer',
  'PostUpdateContainer',
  'StopContainer',
  'RemoveContainer',
  'ValidateContainerAdjustment',
]);

const EMPTY = new Uint8Array(0);

export class PluginSession {
  /**
   * Resolves once the runtime has told of its pods and `onSynchronized` is settled. Rejects with
   * the reason of `closed` if the session ends before.
   *
   * There is no time limit: another attempt would queue behind this one. containerd registers one
   * plugin at a time, and first waits for every container that is being stopped, for as long as its
   * grace period. No pod starts on the node meanwhile.
   */
  readonly registered: Promise<RuntimeInfo>;
  /** Resolves with the reason when the session has ended. Never rejects. */
  readonly closed: Promise<NriError>;
  readonly #stream: Duplex;
  readonly #handlers: PluginHandlers;
  readonly #server: TtrpcServer;
  readonly #client: TtrpcClient;
  readonly #registering = Promise.withResolvers<RuntimeInfo>();
  readonly #closing = Promise.withResolvers<NriError>();
  #runtime: RuntimeInfo = { name: '', version: '', requestTimeout: DEFAULT_REQUEST_TIMEOUT };
  /** Pods of the pieces of Synchronize that have come. */
  #pods: PodSandbox[] = [];
  #isClosed = false;

  /** Begins the session on a connected stream, which it owns from here on. */
  constructor(stream: Duplex, { handlers, index }: PluginOptions) {
    this.#stream = stream;
    this.#handlers = handlers;
    this.registered = this.#registering.promise;
    this.registered.catch(() => {});
    this.closed = this.#closing.promise;
    const mux = new Mux(
      (bytes) => stream.write(bytes),
      (connection, bytes) => this.#receive(connection, bytes),
    );
    this.#server = new TtrpcServer(
      (bytes) => mux.write(PLUGIN_SERVICE, bytes),
      (service, method, payload) => this.#serve(service, method, payload),
    );
    this.#client = new TtrpcClient((bytes) => mux.write(RUNTIME_SERVICE, bytes));
    stream.on('data', (bytes: Buffer) => this.#guard(() => mux.push(bytes)));
    stream.on('error', (error) => this.#end(new NriError('connection', error.message, error)));
    for (const event of ['end', 'close']) {
      stream.on(event, () => this.#end(new NriError('closed', 'the runtime closed the connection')));
    }
    void this.#register(index);
  }

  /** Ends the session: `closed` resolves. The runtime goes on without podfence. */
  close(): void {
    this.#end(new NriError('closed', 'podfence closed the connection'));
  }

  async #register(index: string): Promise<void> {
    try {
      const request = encodeRegisterPluginRequest({ name: NAME, index });
      await this.#client.call(RUNTIME_SERVICE_NAME, 'RegisterPlugin', request);
    } catch (error) {
      this.#end(error as NriError);
    }
  }

  /** Frames of other connections, which nobody has opened, are dropped. */
  #receive(connection: number, bytes: Uint8Array): void {
    if (connection === PLUGIN_SERVICE) this.#server.push(bytes);
    else if (connection === RUNTIME_SERVICE) this.#client.push(bytes);
  }

  #guard(act: () => void): void {
    if (this.#isClosed) return;
    try {
      act();
    } catch (error) {
      this.#end(error instanceof NriError ? error : new NriError('connection', String(error), error));
    }
  }

  #end(reason: NriError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#server.close();
    this.#client.close(reason);
    this.#stream.destroy();
    this.#registering.reject(reason);
    this.#closing.resolve(reason);
  }

  /** Decodes the payload before it waits for anything. */
  async #serve(service: string, method: string, payload: Uint8Array): Promise<Uint8Array> {
    if (service !== PLUGIN_SERVICE_NAME) throw new CallError(UNIMPLEMENTED, `podfence has no service ${service}`);
    switch (method) {
      case 'Configure':
        return this.#configure(decodeConfigureRequest(payload));
      case 'Synchronize':
        return await this.#synchronize(payload);
      // The runtime's events have calls of their own since NRI 0.12 (containerd 2.3, CRI-O 1.37).
      case 'RunPodSandbox':
        return await this.#tell(RUN_POD_SANDBOX, decodePodRequest(payload));
      case 'StopPodSandbox':
        return await this.#tell(STOP_POD_SANDBOX, decodePodRequest(payload));
      case 'RemovePodSandbox':
        return await this.#tell(REMOVE_POD_SANDBOX, decodePodRequest(payload));
      case 'StateChange': {
        const { event, pod } = decodeStateChangeEvent(payload);
        return await this.#tell(event, pod);
      }
      case 'Shutdown':
        setImmediate(() => this.#end(new NriError('shutdown', 'the runtime shuts down')));
        return EMPTY;
      default:
        if (UNUSED_METHODS.has(method)) return EMPTY;
        throw new CallError(UNIMPLEMENTED, `podfence has no method ${method}`);
    }
  }

  #configure({ runtimeName, runtimeVersion, requestTimeout }: ConfigureRequest): Uint8Array {
    this.#runtime = {
      name: runtimeName,
      version: runtimeVersion,
      requestTimeout: requestTimeout || DEFAULT_REQUEST_TIMEOUT,
    };
    return encodeConfigureResponse([RUN_POD_SANDBOX, STOP_POD_SANDBOX, REMOVE_POD_SANDBOX]);
  }

  /** The runtime splits a list that does not fit into one message. */
  async #synchronize(payload: Uint8Array): Promise<Uint8Array> {
    const { pods, more } = decodeSynchronizeRequest(payload);
    if (this.#pods.length + pods.length > MOST_PODS) {
      const error = new NriError('too-many-pods', `the runtime named more than ${MOST_PODS} pods`);
      setImmediate(() => this.#end(error));
      throw error;
    }
    this.#pods.push(...pods);
    if (more) return encodeSynchronizeResponse(true);
    const all = this.#pods;
    this.#pods = [];
    const live = this.#runtime.name === 'containerd' ? all.filter((pod) => !isStoppedInContainerd(pod)) : all;
    await this.#handlers.onSynchronized(live.map(sandboxPod));
    // The runtime must have the answer before anybody acts on being registered.
    setImmediate(() => this.#registering.resolve(this.#runtime));
    return encodeSynchronizeResponse(false);
  }

  async #tell(event: number, sandbox: PodSandbox): Promise<Uint8Array> {
    const pod = sandboxPod(sandbox);
    if (event === RUN_POD_SANDBOX) await this.#handlers.onRun(pod);
    else if (event === STOP_POD_SANDBOX) await this.#handlers.onStop(pod);
    else if (event === REMOVE_POD_SANDBOX) await this.#handlers.onRemove(pod);
    return EMPTY;
  }
}

/**
 * containerd lists stopped sandboxes too, with the addresses that they had. Only a stopped one has
 * a namespace but no process. (A sandbox that is not a container, such as Kata's, shows neither.)
 */
function isStoppedInContainerd({ pid, netnsPath }: PodSandbox): boolean {
  return pid === 0 && netnsPath !== '';
}
