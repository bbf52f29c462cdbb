/**
 * Has the container runtime hold back a pod's containers until the pod's addresses are in force, so
 * that its first packet is judged. See nri/plugin-session.ts for what the runtime reports when.
 *
 * The runtime makes one call at a time and starts no other pod meanwhile. So no call waits longer
 * than LIMIT, and once one has run into it, the next ones are answered at once, until the agent has
 * caught up.
 */
import type { Logger } from 'pino';
import { BucketCounter } from '../agent-state/bucket-counter.ts';
import type { PodStartState, PodStartStatus } from '../agent-state/pod-starts.ts';
import { SandboxedPods } from '../cluster/sandboxed-pods.ts';
import type { ClusterSnapshot, OnChanges, TakeChanges } from '../cluster/store.ts';
import { addressesInNetns } from '../nri/netns-addresses.ts';
import type { RuntimeConnection, RuntimeState } from '../nri/runtime-connection.ts';
import type { SandboxPod } from '../nri/sandbox-pod.ts';
import { SharedDeadline } from '../sys/shared-deadline.ts';

export interface PodStartsOptions {
  readonly nodeName: string;
  /** Path of the runtime's socket; undefined if it is not to be used. */
  readonly socketPath: string | undefined;
  /** What happens to a pod whose addresses are not in force in time: `closed` has it refused. */
  readonly fail: 'closed' | 'open';
  /** Brings what `take` returns into force. */
  readonly bring: (take: TakeChanges, receivedAt: number) => Promise<void>;
  readonly log: Logger;
}

/**
 * How long the runtime may wait for the agent, in ms from the start of the oldest call that is not
 * done yet. The runtime gives a plugin 2 s and then goes on without it.
 */
const LIMIT = 1500;
/** Most ms in which the agent connects before it lets new pods onto the node. */
const SETTLING = 5000;
/** In seconds. The last call of 20 pods that start at once should take 0.1 s. */
const WAIT_BOUNDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 1.5];
/** The part of the runtime's own limit that a call may take. */
const SHARE = 0.75;

const WORDS: Readonly<Record<Exclude<PodStartState, 'off'>, string>> = {
  runtime: 'the container runtime holds back the containers of a pod until its policies are in force',
  absent:
    'no container runtime listens at the NRI socket: the first packets of a pod pass until the API server reports its address',
  unaddressed:
    'the container runtime does not report the addresses of pods (containerd before 2.1, CRI-O before 1.32): the first packets of a pod pass until the API server reports its address',
  lost: 'there is no connection to the container runtime: the first packets of a pod pass until the API server reports its address',
};

export class PodStarts {
  readonly #options: PodStartsOptions;
  readonly #pods: SandboxedPods;
  #runtime: RuntimeConnection | undefined;
  #isStopping = false;
  readonly #take: TakeChanges = () => this.#pods.take();
  #state: PodStartState;
  #runtimeName: string | undefined;
  #lastError: string | undefined;
  readonly #deadline = new SharedDeadline(LIMIT);
  /** The state that the log says. */
  #logged: PodStartState | undefined;
  readonly #settled = Promise.withResolvers<void>();
  #inForce = 0;
  #refused = 0;
  #unjudged = 0;
  #lastWait: number | undefined;
  readonly #waits = new BucketCounter(WAIT_BOUNDS);

  constructor(options: PodStartsOptions) {
    this.#options = options;
    const { nodeName, socketPath } = options;
    this.#pods = new SandboxedPods(nodeName);
    this.#state = socketPath === undefined ? 'off' : 'lost';
  }

  /**
   * Connects to the runtime. Call it when the policies are in force. Loads the protocol's code
   * here: the agent needs none of it earlier. Resolves when it is connected or has failed to, after
   * SETTLING ms at the latest. Throws nothing.
   */
  async start(): Promise<void> {
    const { socketPath } = this.#options;
    if (socketPath === undefined) return;
    const { RuntimeConnection } = await import('../nri/runtime-connection.ts');
    if (this.#isStopping) return;
    this.#runtime = new RuntimeConnection({
      socketPath,
      onState: (state) => this.#enter(state),
      isQuiet: () => !this.#pods.isStopping,
      handlers: {
        onSynchronized: (pods) => this.#listed(pods),
        onRun: (pod) => this.#started(pod),
        onStop: (pod) => this.#stopped(pod),
        onRemove: (pod) => this.#stopped(pod),
      },
    });
    this.#runtime.start();
    const timer = setTimeout(() => this.#settled.resolve(), SETTLING);
    await this.#settled.promise;
    clearTimeout(timer);
  }

  /** The runtime goes on without podfence at once. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#settled.resolve();
    await this.#runtime?.stop();
  }

  /** Passes changes of the API on, with the runtime's addresses. */
  readonly merging = (onChanges: OnChanges): OnChanges => {
    return (take, receivedAt) => onChanges(() => this.#pods.merge(take()), receivedAt);
  };

  /** Returns the API's records with the runtime's addresses. */
  baseline(snapshot: ClusterSnapshot): ClusterSnapshot {
    return this.#pods.baseline(snapshot);
  }

  /** The same, without a new start of the changes. */
  snapshot(snapshot: ClusterSnapshot): ClusterSnapshot {
    return this.#pods.snapshot(snapshot);
  }

  status(): PodStartStatus {
    return {
      state: this.#state,
      ...(this.#runtimeName !== undefined && { runtime: this.#runtimeName }),
      ...(this.#lastError !== undefined && { lastError: this.#lastError }),
      ...{ inForce: this.#inForce, refused: this.#refused, unjudged: this.#unjudged },
      waits: this.#waits.counts(),
      ...(this.#lastWait !== undefined && { lastWait: this.#lastWait }),
    };
  }

  #enter(state: RuntimeState): void {
    if (state.kind === 'failed') this.#lastError = state.reason.message;
    this.#state = state.kind === 'registered' ? 'runtime' : state.kind === 'absent' ? 'absent' : 'lost';
    this.#runtimeName = undefined;
    if (state.kind === 'registered') {
      const { name, version, requestTimeout } = state.runtime;
      this.#runtimeName = `${name} ${version}`;
      this.#deadline.limit = Math.min(LIMIT, SHARE * requestTimeout);
    }
    if (state.kind === 'connecting') return;
    if (state.kind !== 'registered') {
      this.#pods.disconnected();
      this.#bring().catch(() => {});
    }
    this.#settled.resolve();
    this.#tell();
  }

  /** Logs the state, unless the log says so already. */
  #tell(): void {
    const state = this.#state;
    if (state === this.#logged || state === 'off') return;
    this.#logged = state;
    const { log, socketPath } = this.#options;
    const fields = { socket: socketPath, ...(this.#runtimeName !== undefined && { runtime: this.#runtimeName }) };
    if (state === 'runtime') log.info(fields, WORDS.runtime);
    else if (state === 'absent') log.info(fields, WORDS.absent);
    else log.warn({ ...fields, reason: this.#lastError }, WORDS[state]);
  }

  async #listed(pods: readonly SandboxPod[]): Promise<void> {
    const addressed = await Promise.all(pods.map(withAddresses));
    this.#pods.listed(addressed.filter(({ addresses }) => addresses.length > 0));
    // The runtime starts no pod meanwhile, and these run already.
    this.#bring().catch(() => {});
  }

  async #started(sandbox: SandboxPod): Promise<void> {
    const since = performance.now();
    const pod = await withAddresses(sandbox);
    if (pod.addresses.length === 0) {
      this.#startedUnaddressed(pod);
      return;
    }
    this.#pods.started(pod, Math.floor(Date.now() / 1000));
    const problem = await this.#deadline.wait(this.#bring());
    this.#lastWait = (performance.now() - since) / 1000;
    this.#waits.observe(this.#lastWait);
    if (problem === undefined) {
      this.#inForce++;
      return;
    }
    const { fail, log } = this.#options;
    const reason = problem instanceof Error ? problem.message : String(problem);
    const fields = { pod: `${pod.namespace}/${pod.name}`, reason, seconds: this.#lastWait };
    // The runtime goes on without an agent that stops, whatever the answer.
    if (fail === 'closed' && !this.#isStopping) {
      this.#refused++;
      log.error(fields, 'a pod is refused, because its policies are not in force; the kubelet tries again');
      throw new Error(`podfence: the policies of this pod are not in force: ${reason}`);
    }
    this.#unjudged++;
    log.error(fields, 'a pod starts before its policies are in force');
  }

  /** A pod on the network of its node has no address of its own. Any other should have one. */
  #startedUnaddressed(pod: SandboxPod): void {
    this.#pods.startedUnaddressed(pod);
    if (pod.netnsPath === undefined) return;
    this.#unjudged++;
    this.#state = 'unaddressed';
    this.#tell();
  }

  async #stopped(pod: SandboxPod): Promise<void> {
    this.#pods.stopped(pod);
    // Its address may be another pod's next: until then, it must not be this one's any more.
    await this.#deadline.wait(this.#bring());
  }

  #bring(): Promise<void> {
    return this.#options.bring(this.#take, performance.now());
  }
}

/**
 * containerd before 2.1 does not report addresses. The pod's network namespace has them, if the
 * agent may read it.
 */
async function withAddresses(pod: SandboxPod): Promise<SandboxPod> {
  if (pod.addresses.length > 0 || pod.netnsPath === undefined) return pod;
  try {
    return { ...pod, addresses: await addressesInNetns(pod.netnsPath) };
  } catch {
    return pod;
  }
}
