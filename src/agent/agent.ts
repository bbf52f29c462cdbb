/** The agent of one node: cluster changes in, enforcement out. It must run in the node's network namespace. */
import { availableParallelism, release as kernelRelease } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ChangeTimes } from '../agent-state/change-times.ts';
import type { AgentCounters } from '../agent-state/counters.ts';
import type { PodRecord, PolicyMode } from '../cluster/records.ts';
import type { ClusterChange, ClusterSnapshot, TakeChanges } from '../cluster/store.ts';
import { findPredecessor, type Predecessor } from '../dataplane/steering/predecessor.ts';
import { chooseSteering, type SteeringChoice } from '../dataplane/steering/probe.ts';
import { system } from '../dataplane/steering/run.ts';
import { SIGN_PERIOD } from '../dataplane/steering/sign.ts';
import { DEFAULT_MARK, type MarkBits, type Steering, type SteeringKind } from '../dataplane/steering/state.ts';
import { mayLoseFirstPackets, parseRelease } from '../doctor/kernel-release.ts';
import type { FlowLog } from '../flows/flow-log.ts';
import type { PolicyFlowCount } from '../flows/policy-flow-counter.ts';
import { WorkerCounters } from '../judging/counters.ts';
import { type CompiledPolicies, type NodeIdentity, PolicyCompiler } from '../policy/compiler.ts';
import { turnedPolicies, withRefused } from '../policy/refused-policies.ts';
import type { RuleTable } from '../policy/rule-table.ts';
import { Sequence, SequenceEnded } from '../sys/sequence.ts';
import { TokenBucket } from '../sys/token-bucket.ts';
import type {
  EnforcementMode,
  RefusedPoliciesView,
  SharedAddressesView,
  UnknownPortNamesView,
} from '../telemetry/agent-view.ts';
import { compileInTurns, PIECE } from './compile-in-turns.ts';
import { nameCounters } from './counters.ts';
import { Enforcement, type Repair } from './enforcement.ts';
import { FairTurns } from './fair-turns.ts';
import { FlowObserver } from './flow-observer.ts';
import { refuseOtherAgent, refuseReadQueues } from './other-agents.ts';
import { PortNameWatch } from './port-name-watch.ts';
import { RefusedPolicyWatch } from './refused-policy-watch.ts';
import { SharedAddressWatch } from './shared-address-watch.ts';
import { beginStep } from './start-steps.ts';
import { successionOf } from './succession.ts';

export interface AgentOptions {
  readonly node: NodeIdentity;
  /** `audit`: nothing is enforced. Copies of packets are judged, and what enforcement would deny is told of. @default 'enforce' */
  readonly mode?: PolicyMode;
  /** Queues, each with a thread; in audit mode one thread judges. @default the number of cores, 4 at most */
  readonly queues?: number;
  /** Number of the first queue, or of the NFLOG group in audit mode. @default 9464, away from the low numbers that other software takes */
  readonly firstQueue?: number;
  /** @default 'auto' */
  readonly steering?: SteeringChoice;
  /** `uname -r`: by it a remedy is chosen for what older kernels lose. @default that of this machine */
  readonly kernelRelease?: string;
  /** Whether the kernel carries a flow on its own once it was allowed. @default true */
  readonly offload?: boolean;
  /** What happens to packets of isolated pods while nobody judges them. @default 'closed' */
  readonly fail?: 'closed' | 'open';
  /** What a denied sender gets: nothing, or a TCP reset or ICMP error. @default 'drop' */
  readonly deny?: 'drop' | 'reject';
  readonly mark?: MarkBits;
  /** Flows that each queue's thread keeps. @default 65536 */
  readonly flowCapacity?: number;
  /**
   * How long, in ms from the start, mid-stream packets of unknown connections pass where a direction allows them, if the kernel has tracked
   * no connection before. @default 0
   */
  readonly adopt?: number;
  /** Whether flows are counted by policy. @default false */
  readonly policyFlows?: boolean;
  /** Where flows that are opened or denied are noted. @default nowhere */
  readonly flowLog?: FlowLog;
  readonly log: Logger;
  /** Told of every change that has come into force, the first included. */
  readonly onInForce?: (times: ChangeTimes) => void;
}

/** Options that have a value for the rest of the agent, whether or not they were given. */
type Defaulted = 'mode' | 'fail' | 'deny' | 'offload' | 'firstQueue' | 'mark' | 'adopt';

export const DEFAULT_FIRST_QUEUE = 9464;
export const DEFAULT_FLOW_CAPACITY = 65_536;
const MAX_DEFAULT_QUEUES = 4;
/** Between two attempts to bring a change into force that failed, in ms. */
const RETRY = 1000;
/** How often the kernel's rules are looked at, for other software can flush what is not its own, and get a sign that this agent is there, in ms. */
const CHECK_STEERING = SIGN_PERIOD;
/** How often the kernel's rules are put in place again when it tells that other software changed them, and how long a change waits beyond that, in ms. */
const RESTORES = { atOnce: 10, aSecond: 1 };
const RESTORE_PAUSE = 1000;
/** From a change until its named ports are looked at, how long that may take at once, and the pause before it goes on, in ms. */
const LOOK_AT_NAMES = 1000;
const LOOK_TURN = 2;
const LOOK_PAUSE = 100;
/** From when on a change that is not in force is a problem, in seconds: it should take 0.1. */
const LONG_PENDING = 5;

export class Agent {
  readonly #options: AgentOptions & Required<Pick<AgentOptions, Defaulted>>;
  readonly #threads: number;
  readonly #flowCapacity: number;
  readonly #compiler: PolicyCompiler;
  readonly #flows: FlowObserver | undefined;
  readonly #portNames: PortNameWatch;
  readonly #sharedAddresses: SharedAddressWatch;
  readonly #refusedPolicies: RefusedPolicyWatch;
  /** All that changes the kernel's state, or the threads that judge. */
  readonly #sequence = new Sequence();
  /** All that changes or reads the compiler: compiling takes long at times, and what the kernel needs does not wait for it. A change enters the other sequence when it is compiled. */
  readonly #records = new Sequence();
  /** Whether a look at named ports is to come. */
  #willLook = false;
  #enforcement: Enforcement | undefined;
  #compiled: CompiledPolicies | undefined;
  #mode: EnforcementMode | undefined;
  #workerRestarts = 0;
  #steeringRepairs = 0;
  #steeringProblem: string | undefined;
  /** Whether the kernel's rules are to be put in place again because the kernel has told of a change. */
  #willRestore = false;
  readonly #restores = new TokenBucket(RESTORES.aSecond, RESTORES.atOnce);
  /** Since when a change is being brought into force, in ms of performance.now(). */
  #applyingSince = Number.POSITIVE_INFINITY;
  /** Where changes wait for the one that is being brought into force, and when the first of them was received. */
  readonly #pending = new Set<TakeChanges>();
  #pendingSince = Number.POSITIVE_INFINITY;
  /** The pending changes' turn, once they wait for it. */
  #next: Promise<void> | undefined;
  /** Why the last change is not in force, until it is. */
  #failure: string | undefined;
  #inForceSince = new Date();

  constructor(options: AgentOptions) {
    const { mode = 'enforce', fail = 'closed', deny = 'drop', offload = true } = options;
    const { firstQueue = DEFAULT_FIRST_QUEUE, mark = DEFAULT_MARK, adopt = 0 } = options;
    this.#options = { ...options, mode, fail, deny, offload, firstQueue, mark, adopt };
    this.#threads = mode === 'audit' ? 1 : (options.queues ?? Math.min(availableParallelism(), MAX_DEFAULT_QUEUES));
    this.#flowCapacity = options.flowCapacity ?? DEFAULT_FLOW_CAPACITY;
    this.#compiler = new PolicyCompiler(options.node.name, { mode });
    this.#portNames = new PortNameWatch(this.#compiler.unknownPortNames, options.log);
    this.#sharedAddresses = new SharedAddressWatch(options.log);
    this.#refusedPolicies = new RefusedPolicyWatch(options.log);
    const { node, flowLog: log, policyFlows: byPolicy = false } = options;
    this.#flows = byPolicy || log !== undefined ? new FlowObserver({ node, mode, log, byPolicy }) : undefined;
  }

  /**
   * Compiles, starts the queues, steers. When it resolves, everything is in force, with the changes that came meanwhile. Throws SteeringError, NetlinkError or SystemCallError where
   * the machine does not allow it, and SequenceEnded where it is stopped; then no thread is left running, and no kernel rule that was not there before.
   */
  async start(snapshot: ClusterSnapshot): Promise<void> {
    await this.#records.run(() => this.#sequence.run((signal) => this.#start(snapshot, signal)));
    beginStep('bringing early changes into force');
    if (this.#pending.size > 0) await this.#bringPending();
    this.#inForceSince = new Date();
  }

  /**
   * Takes changes of the cluster and resolves when they are in force, on established and offloaded flows too. Changes that arrive while
   * others are brought into force come next, together. If it rejects, they are not in force, and the next call brings them into force too.
   * @param receivedAt when the first of the changes was received, in ms of performance.now()
   */
  async apply(changes: readonly ClusterChange[], receivedAt = performance.now()): Promise<void> {
    this.#keepPending(() => changes, receivedAt);
    await this.#bringPending();
  }

  /**
   * Takes the changes when their turn comes, and brings them into force. May be called before the start. What cannot be
   * brought into force is tried again until it can; `problem` says why meanwhile.
   */
  onChanges(take: TakeChanges, receivedAt: number): void {
    this.#keepPending(take, receivedAt);
    if (this.#enforcement !== undefined) this.#bringPending().catch((error) => this.#tryAgain(error));
  }

  /** Since when the policies are in force: since the start, or since a change that had failed succeeded. */
  get inForceSince(): Date {
    return this.#inForceSince;
  }

  /** Numbers of its queues, both included. */
  get queues(): { readonly first: number; readonly last: number } {
    const first = this.#options.firstQueue;
    return { first, last: first + this.#threads - 1 };
  }

  counters(): AgentCounters {
    const enforcement = this.#enforcement;
    return {
      ...nameCounters(enforcement?.workers.counters() ?? new WorkerCounters()),
      ...this.#compiler.counts(),
      refusedPolicies: this.#refusedPolicies.view().count,
      rejudged: enforcement?.rejudged ?? 0,
      revoked: enforcement?.revoked ?? 0,
      flowCapacity: this.#flowCapacity * this.#threads,
      workerRestarts: this.#workerRestarts,
      steeringRepairs: this.#steeringRepairs,
      pendingChangeAge: this.#pendingChangeAge(),
      generation: this.#compiled?.table.generation ?? 0,
      tableBytes: this.#compiled?.table.buffer.byteLength ?? 0,
      steeredAddresses: enforcement?.steered ?? 0,
      queues: enforcement?.kernelQueues() ?? [],
      ...(enforcement?.copies && { copies: enforcement.copies }),
    };
  }

  /** How it enforces; undefined before it does. */
  mode(): EnforcementMode | undefined {
    return this.#mode;
  }

  /** Allowed and denied flows by policy; undefined where they are not counted. */
  policyFlows(): Iterable<PolicyFlowCount> | undefined {
    return this.#flows?.policyFlows();
  }

  /** Named ports of policies that no pod in question has, as of the last look. */
  unknownPortNames(): UnknownPortNamesView {
    return this.#portNames.view();
  }

  /** Addresses that several pods have, as of the last change that came into force. */
  sharedAddresses(): SharedAddressesView {
    return this.#sharedAddresses.view();
  }

  /** Policies that ask for more of the rule table than they may have, as of the last change that came into force. */
  refusedPolicies(): RefusedPoliciesView {
    return this.#refusedPolicies.view();
  }

  /** The snapshot with the policies as they are in force, for whoever explains what is judged. */
  asCompiled(snapshot: ClusterSnapshot): ClusterSnapshot {
    return withRefused(snapshot, this.#refusedPolicies.refused);
  }

  /** What new flows are judged by; undefined before the first policies are compiled. */
  get table(): RuleTable | undefined {
    return this.#compiled?.table;
  }

  /** Threads that should be judging, and that are. */
  workers(): { readonly wanted: number; readonly alive: number } {
    const workers = this.#enforcement?.workers;
    return { wanted: workers === undefined ? 0 : this.#threads, alive: workers?.alive ?? 0 };
  }

  /** What keeps the policies from being in force as they should, in one line; undefined while nothing does. */
  problem(): string | undefined {
    if (this.#failure !== undefined) return `a change could not be brought into force: ${this.#failure}`;
    const age = this.#pendingChangeAge();
    if (age > LONG_PENDING) return `a change is not in force after ${age.toFixed(0)} s`;
    return this.#steeringProblem ?? this.#enforcement?.problem;
  }

  /**
   * Ends judging. Unless `removeSteering` is set the kernel's rules stay: established offloaded flows go on, and new ones wait for the
   * next agent as `fail` says. A start that is under way is undone. So is a change that is being compiled; one that is being brought into force is finished first.
   */
  async stop({ removeSteering = false } = {}): Promise<void> {
    const stopped = this.#sequence.end(async () => {
      try {
        this.#flows?.stop();
      } finally {
        await this.#enforcement?.stop(removeSteering);
      }
    });
    await Promise.all([this.#records.end(async () => undefined), stopped]);
  }

  async #start(snapshot: ClusterSnapshot, signal: AbortSignal): Promise<void> {
    const { firstQueue, log, mode, fail, deny, offload } = this.#options;
    beginStep('choosing steering');
    const needs = mode === 'audit' ? { needs: { deny, offload, copiesTo: firstQueue } } : {};
    const release = parseRelease(this.#options.kernelRelease ?? kernelRelease());
    const losesFirstPackets = release !== undefined && mayLoseFirstPackets(release);
    const steering = await chooseSteering(this.#options.steering ?? 'auto', { ...needs, losesFirstPackets });
    signal.throwIfAborted();
    beginStep('looking for an earlier agent');
    const predecessor = await findPredecessor(system());
    const lookedAt = performance.now();
    signal.throwIfAborted();
    refuseOtherAgent(system(), predecessor);
    if (mode === 'enforce') refuseReadQueues(system(), this.queues, predecessor);
    const queueing = predecessor?.queueing ?? [];
    try {
      this.#enforcement = await this.#enforce(snapshot, steering, queueing.length > 0, signal);
    } catch (error) {
      await steering
        .retract(queueing)
        .catch((err) =>
          log.error(
            { err },
            "the kernel rules of a start that failed could not be taken away; 'podfence cleanup' does",
          ),
        );
      throw error;
    }
    const inForce = { mode, steering: steering.kind, offload, changesTold: this.#enforcement.changesTold };
    const { beforeRouting } = steering;
    this.#mode = mode === 'audit' ? inForce : { ...inForce, fail, deny, beforeRouting };
    this.#flows?.start(this.#enforcement.workers);
    this.#checkSteeringLater();
    this.#logStart(steering.kind);
    for (const caveat of this.#enforcement.caveats) log.warn(caveat);
    if (predecessor !== undefined) this.#logSuccession(predecessor, this.#enforcement.judgingSince - lookedAt);
  }

  async #enforce(
    { namespaces, pods, policies }: ClusterSnapshot,
    steering: Steering,
    hasPredecessor: boolean,
    signal: AbortSignal,
  ): Promise<Enforcement> {
    const { firstQueue, mark, log, adopt, mode, fail, deny, offload } = this.#options;
    const worker = mode === 'audit' ? 'thread that judges copies' : 'queue worker';
    beginStep('compiling');
    // What selects comes before what is selected, and this node's pods, which make policies relevant, before the rest: each is placed once.
    const isHere = (pod: PodRecord) => pod.nodeName === this.#options.node.name;
    const elsewhere = pods.filter((pod) => !isHere(pod));
    const records = [...namespaces, ...policies, ...pods.filter(isHere), ...elsewhere];
    return await this.#bringIntoForce(
      records.map((record) => ({ type: 'set', record })),
      performance.now(),
      signal,
      async (publish) =>
        Enforcement.start(
          {
            ...{ firstQueue, count: this.#threads, flowCapacity: this.#flowCapacity },
            ...{ mode, mark, fail, deny, offload, adopt, hasPredecessor },
            flowEvents: this.#flows !== undefined,
            sequence: this.#sequence,
            onFailure: (queue, error) => {
              this.#workerRestarts++;
              log.error({ queue, err: error }, `a ${worker} ended; it is replaced`);
            },
            onReplaced: (queue) => log.warn({ queue }, `a ${worker} was replaced`),
            onChange: ({ interface: group, closed }) => {
              if (closed === undefined) log.info({ group }, 'copies of packets are taken');
              else
                log.warn(
                  { group, why: closed },
                  'copies of packets are not taken; what is sent meanwhile is not judged',
                );
            },
            onForeignChange: () => this.#restoreSoon(),
            onUnwatched: (error) =>
              log.warn(
                { err: error },
                'the kernel does not tell of changes of its rules; they are looked at every 10 s',
              ),
            onRepair: (repair) => this.#repaired(repair),
            onUnsigned: (error) => log.debug({ err: error }, 'the sign was not renewed'),
            onUnread: (error) => log.error({ err: error }, 'connections that were opened meanwhile could not be read'),
          },
          steering,
          await publish(),
          signal,
        ),
    );
  }

  /** @param milliseconds from when the predecessor's sign was read until packets were judged */
  #logSuccession(predecessor: Predecessor, milliseconds: number): void {
    const times = { since: milliseconds / 1000, period: CHECK_STEERING / 1000 };
    const { level, fields, message } = successionOf(predecessor, times);
    this.#options.log[level](fields, message);
  }

  /** Whom the policies are about: pods of this node and their addresses. */
  #logStart(steering: SteeringKind): void {
    const { mode, firstQueue, log } = this.#options;
    const { steeredEndpoints: pods, policies: policiesOfCluster } = this.#compiler.counts();
    const addresses = this.#enforcement?.steered;
    if (mode === 'audit') {
      const selected = { selectedPods: pods, selectedAddresses: addresses, policiesOfCluster };
      log.info({ steering, group: firstQueue, ...selected }, 'auditing: nothing is enforced');
    } else {
      const isolated = { isolatedPods: pods, isolatedAddresses: addresses, policiesOfCluster };
      log.info({ steering, queues: this.#threads, ...isolated }, 'enforcing');
    }
  }

  #keepPending(take: TakeChanges, receivedAt: number): void {
    this.#pending.add(take);
    this.#pendingSince = Math.min(this.#pendingSince, receivedAt);
  }

  #bringPending(): Promise<void> {
    this.#next ??= this.#records.run((signal) => this.#applyPending(signal));
    return this.#next;
  }

  async #applyPending(signal: AbortSignal): Promise<void> {
    this.#next = undefined;
    const enforcement = this.#enforcement;
    if (enforcement === undefined) throw new Error('the agent was not started');
    const changes = [...this.#pending].flatMap((take) => take());
    this.#pending.clear();
    const hasFailed = this.#applyingSince !== Number.POSITIVE_INFINITY;
    if (changes.length === 0 && !hasFailed) {
      this.#pendingSince = Number.POSITIVE_INFINITY;
      return;
    }
    this.#applyingSince = Math.min(this.#applyingSince, this.#pendingSince);
    this.#pendingSince = Number.POSITIVE_INFINITY;
    await this.#bringIntoForce(changes, this.#applyingSince, signal, (publish) =>
      this.#sequence.run(async () => enforcement.update(await publish())),
    );
    this.#applyingSince = Number.POSITIVE_INFINITY;
    if (this.#failure === undefined) return;
    this.#failure = undefined;
    this.#inForceSince = new Date();
  }

  #tryAgain(error: unknown): void {
    if (error instanceof SequenceEnded) return;
    this.#failure = error instanceof Error ? error.message : String(error);
    this.#options.log.error({ err: error }, 'a change could not be brought into force; it is tried again');
    this.#records.after(RETRY, async (signal) => {
      if (this.#failure !== undefined) await this.#applyPending(signal).catch((again) => this.#tryAgain(again));
    });
  }

  /** In seconds; 0 where all changes are in force. */
  #pendingChangeAge(): number {
    const since = Math.min(this.#applyingSince, this.#pendingSince);
    return since === Number.POSITIVE_INFINITY ? 0 : (performance.now() - since) / 1000;
  }

  #checkSteeringLater(): void {
    this.#sequence.after(CHECK_STEERING, async () => {
      await this.#mend((enforcement) => enforcement.repair());
      await this.#enforcement?.sign();
      this.#checkSteeringLater();
    });
  }

  /** Once for all changes that are told until its turn comes. Software that takes away what is put in place, again and again, is not followed faster than RESTORES. */
  #restoreSoon(): void {
    if (this.#willRestore) return;
    this.#willRestore = true;
    const milliseconds = this.#restores.take(performance.now()) ? 0 : RESTORE_PAUSE;
    this.#sequence.after(milliseconds, async () => {
      this.#willRestore = false;
      // What came in while it waited is for this one.
      if (milliseconds > 0) this.#restores.take(performance.now());
      await this.#mend((enforcement) => enforcement.restore());
    });
  }

  /** @param repair gives back false where it did not look at everything */
  async #mend(repair: (enforcement: Enforcement) => Promise<unknown>): Promise<void> {
    const { log } = this.#options;
    const before = this.#steeringProblem;
    try {
      this.#steeringProblem = undefined;
      if (this.#enforcement && (await repair(this.#enforcement)) === false) this.#steeringProblem ??= before;
    } catch (error) {
      this.#steeringProblem = `the kernel's rules cannot be checked or repaired: ${error instanceof Error ? error.message : String(error)}`;
      log.error({ err: error }, "the kernel's rules cannot be checked or repaired; it is tried again");
    }
  }

  #repaired({ damage, left, goodAt }: Repair): void {
    this.#steeringRepairs++;
    const { log } = this.#options;
    const milliseconds = performance.now() - goodAt;
    const fields = {
      changed: damage.map(({ what }) => what),
      lastGood: new Date(Date.now() - milliseconds).toISOString(),
      ...(damage.some(({ opens }) => opens) && { unjudgedSecondsAtMost: seconds(milliseconds) }),
    };
    if (left.length === 0) {
      log.warn(fields, 'kernel rules of podfence were changed by other software; they are in place again');
      return;
    }
    const notInPlace = left.map(({ what }) => what);
    this.#steeringProblem = `the kernel's rules are changed by other software: ${notInPlace.join('; ')}`;
    log.error(
      { ...fields, notInPlace },
      'kernel rules of podfence were changed by other software; not all of them are in place again',
    );
  }

  /** @param enforce calls its parameter right before it enforces what that gives */
  async #bringIntoForce<T>(
    changes: readonly ClusterChange[],
    receivedAt: number,
    signal: AbortSignal,
    enforce: (publish: () => Promise<CompiledPolicies>) => Promise<T>,
  ): Promise<T> {
    const turns = new FairTurns();
    const compiled = await compileInTurns(this.#compiler, changes, turns, signal);
    // Not what others took in between.
    const compile = (turns.worked + turns.elapsed) / 1000;
    const before = this.#compiled;
    const inForce = await enforce(async () => {
      // As late as possible: what is decided before the table is published is put down to the policies of before.
      const seen = [...changes, ...turnedPolicies(this.#compiler)];
      for (let at = 0; at < seen.length; at += PIECE) {
        this.#flows?.apply(seen.slice(at, at + PIECE));
        if (at + PIECE < seen.length) await setImmediate();
      }
      this.#compiled = compiled;
      return compiled;
    });
    // Every worker has said that it judges by the new one.
    if (before !== undefined) this.#compiler.recycle(before.table);
    const times: ChangeTimes = { changes: changes.length, compile, total: (performance.now() - receivedAt) / 1000 };
    this.#options.log.debug({ ...times, generation: compiled.table.generation }, 'in force');
    this.#options.onInForce?.(times);
    this.#sharedAddresses.see(this.#compiler.sharedAddresses());
    this.#refusedPolicies.see(this.#compiler.refusedPolicies());
    this.#lookAtNamesLater(LOOK_AT_NAMES);
    return inForce;
  }

  /** In short turns between changes: nothing is held up by it, and of many changes in a row not each is looked at. */
  #lookAtNamesLater(milliseconds: number): void {
    if (this.#willLook) return;
    this.#willLook = true;
    this.#records.after(milliseconds, async () => {
      this.#willLook = false;
      if (!this.#portNames.look(LOOK_TURN)) this.#lookAtNamesLater(LOOK_PAUSE);
    });
  }
}

/** With a decimal place, as people say it. */
function seconds(milliseconds: number): number {
  return Number((milliseconds / 1000).toFixed(1));
}
