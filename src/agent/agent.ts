/**
 * The agent of one node: takes cluster changes and enforces them. It must run in the node's network
 * namespace.
 */
import { availableParallelism, release as kernelRelease } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ChangeTimes } from '../agent-state/change-times.ts';
import type { AgentCounters } from '../agent-state/counters.ts';
import type { SpoofingStatus } from '../agent-state/spoofing.ts';
import type { NodeRecord, PodRecord, PolicyMode } from '../cluster/records.ts';
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
import { ForgedSources } from './forged-sources.ts';
import { refuseReadersOfRules, refuseReadQueues } from './other-agents.ts';
import { PortNameWatch } from './port-name-watch.ts';
import { RefusedPolicyWatch } from './refused-policy-watch.ts';
import { SharedAddressWatch } from './shared-address-watch.ts';
import { beginStep } from './start-steps.ts';
import { successionOf } from './succession.ts';

export interface AgentOptions {
  readonly node: NodeIdentity;
  /**
   * `audit` enforces nothing: the agent judges copies of packets and reports what enforcement would
   * deny. @default 'enforce'
   */
  readonly mode?: PolicyMode;
  /**
   * The number of queues, each with a thread; audit mode uses one thread. @default the number of
   * cores, 4 at most
   */
  readonly queues?: number;
  /**
   * The number of the first queue, or of the NFLOG group in audit mode. @default 9464, away from
   * the low numbers that other software takes
   */
  readonly firstQueue?: number;
  /** @default 'auto' */
  readonly steering?: SteeringChoice;
  /**
   * The output of `uname -r`. Older kernels lose some first packets, and the agent works around
   * that. @default that of this machine
   */
  readonly kernelRelease?: string;
  /** Whether the kernel carries an allowed flow without asking again. @default true */
  readonly offload?: boolean;
  /**
   * What happens to packets of isolated pods while no agent judges them: `closed` drops them,
   * `open` lets them pass. @default 'closed'
   */
  readonly fail?: 'closed' | 'open';
  /**
   * What a denied sender gets: nothing (`drop`), or a TCP reset or ICMP error (`reject`). @default
   * 'drop'
   */
  readonly deny?: 'drop' | 'reject';
  readonly mark?: MarkBits;
  /**
   * Packets with a forged source address: `drop` has the kernel drop them. Audit mode drops none.
   * @default 'drop'
   */
  readonly spoofing?: 'drop' | 'allow';
  /** Capacity of each thread's flow table, in flows. @default 65536 */
  readonly flowCapacity?: number;
  /**
   * How long after the start mid-stream packets of unknown connections pass if one direction allows
   * them, in ms. Applies only if the kernel tracked no connection before. @default 0
   */
  readonly adopt?: number;
  /** Whether the agent counts flows by policy. @default false */
  readonly policyFlows?: boolean;
  /** The log for opened and denied flows. @default none */
  readonly flowLog?: FlowLog;
  readonly log: Logger;
  /** Called after each change is in force, the first included. */
  readonly onInForce?: (times: ChangeTimes) => void;
}

/** Options for which the constructor fills in a default. */
type Defaulted = 'mode' | 'fail' | 'deny' | 'offload' | 'firstQueue' | 'mark' | 'adopt';

/** Default of --first-queue, far from the low numbers that other software takes. */
export const DEFAULT_FIRST_QUEUE = 9464;
export const DEFAULT_FLOW_CAPACITY = 65_536;
const MAX_DEFAULT_QUEUES = 4;
/** Pause before a failed change or repair is tried again, in ms. */
const RETRY = 1000;
/**
 * How often the agent checks the kernel's rules, because other software can flush them, and renews
 * its sign, in ms.
 */
const CHECK_STEERING = SIGN_PERIOD;
/**
 * Limits how often the agent restores rules that the kernel reports as changed. Beyond the limit a
 * restore waits for RESTORE_PAUSE ms.
 */
const RESTORES = { atOnce: 10, aSecond: 1 };
const RESTORE_PAUSE = 1000;
/**
 * From a change until the agent checks named ports, the length of one turn of that check, and the
 * pause between two turns, in ms.
 */
const LOOK_AT_NAMES = 1000;
const LOOK_TURN = 2;
const LOOK_PAUSE = 100;
/** Age in seconds from which a pending change is a problem. A change should take 0.1 s. */
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
  readonly #forgedSources: ForgedSources;
  /** Serializes everything that changes the kernel's state or the judging threads. */
  readonly #sequence = new Sequence();
  /**
   * Serializes everything that changes or reads the compiler. It is a sequence of its own because
   * compiling can take long and work on the kernel must not wait for it. A compiled change then
   * enters `#sequence`.
   */
  readonly #records = new Sequence();
  /** Whether a check of named ports is scheduled. */
  #willLook = false;
  #enforcement: Enforcement | undefined;
  #compiled: CompiledPolicies | undefined;
  #mode: EnforcementMode | undefined;
  #workerRestarts = 0;
  #steeringRepairs = 0;
  #steeringProblem: string | undefined;
  /** Whether a restore is scheduled because the kernel reported a change of the rules. */
  #willRestore = false;
  /** Whether a repair is scheduled because the last one failed. */
  #willMend = false;
  readonly #restores = new TokenBucket(RESTORES.aSecond, RESTORES.atOnce);
  /**
   * When the change now being applied was received, in ms of performance.now(); infinite if there
   * is none.
   */
  #applyingSince = Number.POSITIVE_INFINITY;
  /**
   * Sources of the changes that wait for the current one, and when the first of them was received.
   */
  readonly #pending = new Set<TakeChanges>();
  #pendingSince = Number.POSITIVE_INFINITY;
  /** The scheduled run that applies the pending changes, if there is one. */
  #next: Promise<void> | undefined;
  /** Whether a retry of what failed is scheduled. */
  #willRetry = false;
  #isStopping = false;
  /** Why the last change failed; undefined once it is in force. */
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
    const { log: logger, spoofing = 'drop' } = options;
    this.#forgedSources = new ForgedSources({ mode, spoofing, sequence: this.#sequence, log: logger });
    const { node, flowLog: log, policyFlows: byPolicy = false } = options;
    this.#flows = byPolicy || log !== undefined ? new FlowObserver({ node, mode, log, byPolicy }) : undefined;
  }

  /**
   * Compiles the policies, starts the queues and installs the kernel rules. Resolves when
   * everything is in force, including the changes that arrived meanwhile.
   *
   * Throws SteeringError, NetlinkError or SystemCallError if the machine does not allow it, and
   * SequenceEnded if `stop` is called. It then leaves no thread running and no kernel rule that was
   * not there before.
   */
  async start(snapshot: ClusterSnapshot): Promise<void> {
    await this.#records.run(() => this.#sequence.run((signal) => this.#start(snapshot, signal)));
    beginStep('bringing early changes into force');
    if (this.#pending.size > 0) await this.#bringPending();
    this.#inForceSince = new Date();
  }

  /**
   * Applies changes of the cluster. Resolves when they are in force, on established and offloaded
   * flows too. Changes that arrive while others are being applied come next, together. If it
   * rejects, the changes are not in force, and the next call applies them too.
   * @param receivedAt when the first of the changes was received, in ms of performance.now()
   */
  async apply(changes: readonly ClusterChange[], receivedAt = performance.now()): Promise<void> {
    this.#keepPending(() => changes, receivedAt);
    await this.#bringPending();
  }

  /**
   * Schedules changes: calls `take` when their turn comes, and applies what it returns. May be
   * called before the start. A change that fails is tried again until it succeeds; `problem` says
   * why meanwhile.
   */
  onChanges(take: TakeChanges, receivedAt: number): void {
    if (this.#enforcement === undefined) this.#keepPending(take, receivedAt);
    else this.bring(take, receivedAt).catch(() => {});
  }

  /** Takes the cluster's nodes, whenever they change. May be called before the start. */
  onNodes(nodes: readonly NodeRecord[]): void {
    this.#forgedSources.takeNodes(nodes);
  }

  /**
   * Schedules changes like `onChanges`. Resolves when they are in force. If it rejects, they are
   * not, and the agent tries again.
   */
  async bring(take: TakeChanges, receivedAt: number): Promise<void> {
    this.#keepPending(take, receivedAt);
    try {
      await this.#bringPending();
    } catch (error) {
      this.#tryAgain(error);
      throw error;
    }
  }

  /**
   * When the policies came into force: at the start, or when a change that had failed succeeded.
   */
  get inForceSince(): Date {
    return this.#inForceSince;
  }

  /** First and last queue number, both included. */
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

  /** How the agent enforces; undefined before it does. */
  mode(): EnforcementMode | undefined {
    return this.#mode;
  }

  /** Allowed and denied flows by policy; undefined if the agent does not count them. */
  policyFlows(): Iterable<PolicyFlowCount> | undefined {
    return this.#flows?.policyFlows();
  }

  /** Named ports of policies that no matching pod has, as of the last check. */
  unknownPortNames(): UnknownPortNamesView {
    return this.#portNames.view();
  }

  /** Addresses that several pods share, as of the last change that came into force. */
  sharedAddresses(): SharedAddressesView {
    return this.#sharedAddresses.view();
  }

  /**
   * Policies that exceed their budget of the rule table, as of the last change that came into
   * force.
   */
  refusedPolicies(): RefusedPoliciesView {
    return this.#refusedPolicies.view();
  }

  /** What is done about forged source addresses, as of the last check. */
  spoofing(): SpoofingStatus {
    return this.#forgedSources.status();
  }

  /**
   * Returns the snapshot with the policies as they are in force, refused ones included, for
   * explain.
   */
  asCompiled(snapshot: ClusterSnapshot): ClusterSnapshot {
    return withRefused(snapshot, this.#refusedPolicies.refused);
  }

  /** The table that judges new flows; undefined before the first policies are compiled. */
  get table(): RuleTable | undefined {
    return this.#compiled?.table;
  }

  /** How many threads should judge, and how many are alive. */
  workers(): { readonly wanted: number; readonly alive: number } {
    const workers = this.#enforcement?.workers;
    return { wanted: workers === undefined ? 0 : this.#threads, alive: workers?.alive ?? 0 };
  }

  /**
   * Returns what keeps the policies from being in force, in one line; undefined if nothing does.
   */
  problem(): string | undefined {
    if (this.#failure !== undefined) return `a change could not be brought into force: ${this.#failure}`;
    const age = this.#pendingChangeAge();
    if (age > LONG_PENDING) return `a change is not in force after ${age.toFixed(0)} s`;
    return this.#steeringProblem ?? this.#enforcement?.problem;
  }

  /**
   * Stops judging. Unless `removeSteering` is set, the kernel's rules stay: the kernel goes on
   * carrying offloaded flows, and new ones wait for the next agent as `fail` says. Undoes a start
   * that is under way and drops a change that is being compiled; finishes a change that is being
   * applied first.
   */
  async stop({ removeSteering = false } = {}): Promise<void> {
    this.#isStopping = true;
    const stopped = this.#sequence.end(async () => {
      try {
        this.#flows?.stop();
      } finally {
        await this.#enforcement?.stop(removeSteering);
        if (removeSteering) await this.#forgedSources.remove();
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
    refuseReadersOfRules(system(), predecessor);
    if (mode === 'enforce') refuseReadQueues(system(), this.queues);
    const queueing = predecessor?.queueing ?? [];
    try {
      beginStep('guarding source addresses');
      await this.#forgedSources.start();
      signal.throwIfAborted();
      this.#enforcement = await this.#enforce(snapshot, steering, queueing.length > 0, signal);
    } catch (error) {
      await steering
        .retract(queueing)
        .catch((err) =>
          log.error({ err }, "the start failed, and its kernel rules could not be removed; run 'podfence cleanup'"),
        );
      await this.#forgedSources.retract();
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
    // Policies and namespaces come before pods, and this node's pods, which make policies relevant,
    // before other pods. So the compiler places each record once.
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
                'the kernel does not report changes of its rules; podfence checks them every 10 s',
              ),
            onRepair: (repair) => this.#repaired(repair),
            onUnsigned: (error) => log.debug({ err: error }, 'the sign could not be renewed'),
            onUnread: (error) => log.error({ err: error }, 'connections that opened meanwhile could not be read'),
          },
          steering,
          await publish(),
          signal,
        ),
    );
  }

  /** @param milliseconds from reading the predecessor's sign until this agent judged packets */
  #logSuccession(predecessor: Predecessor, milliseconds: number): void {
    const times = { since: milliseconds / 1000, period: CHECK_STEERING / 1000 };
    const { level, fields, message } = successionOf(predecessor, times);
    this.#options.log[level](fields, message);
  }

  /** Logs how many pods and addresses of this node the policies select. */
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

  /** Schedules one retry for all failures until it runs, and logs the first of them. */
  #tryAgain(error: unknown): void {
    if (error instanceof SequenceEnded || this.#isStopping) return;
    this.#failure = error instanceof Error ? error.message : String(error);
    if (this.#willRetry) return;
    this.#willRetry = true;
    this.#options.log.error({ err: error }, 'a change could not be brought into force; podfence tries again');
    this.#records.after(RETRY, async () => {
      this.#willRetry = false;
      // Not awaited: it takes the next turn of the sequence that this work runs in.
      if (this.#failure !== undefined) this.#bringPending().catch((again) => this.#tryAgain(again));
    });
  }

  /** The age of the oldest change that is not in force, in seconds; 0 if all are. */
  #pendingChangeAge(): number {
    const since = Math.min(this.#applyingSince, this.#pendingSince);
    return since === Number.POSITIVE_INFINITY ? 0 : (performance.now() - since) / 1000;
  }

  #checkSteeringLater(): void {
    this.#sequence.after(CHECK_STEERING, async () => {
      await this.#mend((enforcement) => enforcement.repair());
      await this.#enforcement?.sign();
      await this.#forgedSources.check();
      this.#checkSteeringLater();
    });
  }

  /**
   * Schedules one restore for all changes that the kernel reports until it runs. RESTORES limits
   * the rate, in case other software removes the rules again and again.
   */
  #restoreSoon(): void {
    if (this.#willRestore) return;
    this.#willRestore = true;
    const milliseconds = this.#restores.take(performance.now()) ? 0 : RESTORE_PAUSE;
    this.#sequence.after(milliseconds, async () => {
      this.#willRestore = false;
      // This run takes the token that came in while it waited.
      if (milliseconds > 0) this.#restores.take(performance.now());
      await this.#mend((enforcement) => enforcement.restore());
      await this.#forgedSources.check();
    });
  }

  /** @param repair resolves to false if it did not check everything */
  async #mend(repair: (enforcement: Enforcement) => Promise<unknown>): Promise<void> {
    const { log } = this.#options;
    const before = this.#steeringProblem;
    try {
      this.#steeringProblem = undefined;
      if (this.#enforcement && (await repair(this.#enforcement)) === false) this.#steeringProblem ??= before;
    } catch (error) {
      this.#steeringProblem = `the kernel's rules cannot be checked or repaired: ${error instanceof Error ? error.message : String(error)}`;
      // Until they are in place, denied packets may pass.
      this.#mendAgain();
      if (this.#steeringProblem === before) return;
      log.error({ err: error }, "the kernel's rules cannot be checked or repaired; podfence tries again");
    }
  }

  /** Schedules one repair for all that failed until it runs. */
  #mendAgain(): void {
    if (this.#willMend) return;
    this.#willMend = true;
    this.#sequence.after(RETRY, async () => {
      this.#willMend = false;
      await this.#mend((enforcement) => enforcement.repair());
    });
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

  /** @param enforce calls `publish` right before it enforces the policies that `publish` returns */
  async #bringIntoForce<T>(
    changes: readonly ClusterChange[],
    receivedAt: number,
    signal: AbortSignal,
    enforce: (publish: () => Promise<CompiledPolicies>) => Promise<T>,
  ): Promise<T> {
    const turns = new FairTurns();
    const compiled = await compileInTurns(this.#compiler, changes, turns, signal);
    // Without the time that other work took between the turns.
    const compile = (turns.worked + turns.elapsed) / 1000;
    const before = this.#compiled;
    const inForce = await enforce(async () => {
      // As late as possible: flows decided before the table is published belong to the earlier
      // policies.
      const seen = [...changes, ...turnedPolicies(this.#compiler)];
      for (let at = 0; at < seen.length; at += PIECE) {
        this.#flows?.apply(seen.slice(at, at + PIECE));
        if (at + PIECE < seen.length) await setImmediate();
      }
      this.#compiled = compiled;
      return compiled;
    });
    // Every worker has confirmed the new table.
    if (before !== undefined) this.#compiler.recycle(before.table);
    const times: ChangeTimes = { changes: changes.length, compile, total: (performance.now() - receivedAt) / 1000 };
    this.#options.log.debug({ ...times, generation: compiled.table.generation }, 'in force');
    this.#options.onInForce?.(times);
    this.#sharedAddresses.see(this.#compiler.sharedAddresses());
    this.#refusedPolicies.see(this.#compiler.refusedPolicies());
    this.#lookAtNamesLater(LOOK_AT_NAMES);
    return inForce;
  }

  /**
   * Schedules a check of named ports. It runs in short turns between changes, so it delays none of
   * them, and one check covers many changes in a row.
   */
  #lookAtNamesLater(milliseconds: number): void {
    if (this.#willLook) return;
    this.#willLook = true;
    this.#records.after(milliseconds, async () => {
      this.#willLook = false;
      if (!this.#portNames.look(LOOK_TURN)) this.#lookAtNamesLater(LOOK_PAUSE);
    });
  }
}

/** Rounds to one decimal place. */
function seconds(milliseconds: number): number {
  return Number((milliseconds / 1000).toFixed(1));
}
