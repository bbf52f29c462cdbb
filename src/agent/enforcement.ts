/**
 * Brings a compiled table into force: the queue workers that judge by it, the kernel rules that
 * send packets to them, and the flows that were there before.
 *
 * The order keeps two promises at once. The table is published first, so that no packet meets a
 * table older than the rule that queued it. Then the workers learn the connections that no agent
 * has judged, and only then does the set of steered addresses grow, so that an allowed connection
 * of a newly steered pod loses nothing. Last, judged flows that the table now denies lose their
 * mark. A worker knows the connections of the steered pods before it takes the first packet out of
 * its queue.
 *
 * Audit mode keeps this order, but a thread judges copies (dataplane/nflog), no connection is
 * marked, and flows that the table denies are reported, not revoked.
 */

import type { CopyCounts, KernelQueue } from '../agent-state/counters.ts';
import type { PolicyMode } from '../cluster/records.ts';
import { CopyJudge, type CopyJudgeOptions } from '../dataplane/nflog/copy-judge.ts';
import { type Command, QueueWorkers, type QueueWorkersOptions } from '../dataplane/nfqueue/queue-workers.ts';
import type { Damage, Steering, SteeringState, ToldChanges } from '../dataplane/steering/state.ts';
import type { GrowthAdoption } from '../filter/adoption.ts';
import type { JudgingThreads } from '../judging/judging-threads.ts';
import { addressWords } from '../policy/address-words.ts';
import type { CompiledPolicies } from '../policy/compiler.ts';
import { Concerned } from '../policy/concerned.ts';
import type { RuleTable } from '../policy/rule-table.ts';
import { unlessAborted } from '../sys/sequence.ts';
import { type Allowed, revokeJudged, seedUnjudged } from './established-flows.ts';
import { beginStep } from './start-steps.ts';

/**
 * Bounds adoption while the set of steered addresses changes, in ms, in case a command hangs.
 * Normally adoption is ended explicitly.
 */
const ADOPT_WHILE_STEERING = 2000;
/**
 * How long audit mode adopts mid-stream packets if the kernel tracked nothing before, in ms. The
 * kernel tracks connections from now on, so an agent that enforces later knows them.
 */
const ADOPT_IN_AUDIT = 3_600_000;

/** Most rounds of one restore, in case other software keeps removing rules meanwhile. */
const MOST_RESTORES = 5;

export interface EnforcementOptions
  extends Omit<QueueWorkersOptions, 'judgedBit' | 'rejectBit' | 'failOpen' | 'beforeBind'>,
    Pick<CopyJudgeOptions, 'onChange' | 'onUnread'>,
    Pick<SteeringState, 'mark' | 'fail' | 'deny'> {
  /**
   * `audit`: every policy is audited and only copies of packets are judged. `firstQueue` is then
   * the number of their NFLOG group.
   */
  readonly mode: PolicyMode;
  /**
   * How long mid-stream packets pass at first if the kernel tracked no connection before, in ms.
   * Audit mode ignores it.
   */
  readonly adopt: number;
  /** Whether an earlier agent's kernel rules that queue packets are in place. */
  readonly hasPredecessor: boolean;
  /** Called when the sign for the next agent could not be renewed. */
  readonly onUnsigned: (error: Error) => void;
  /** Called when the kernel reports that other software changed rules; call `restore` soon. */
  readonly onForeignChange: () => void;
  /** Called when the kernel cannot report changes of rules. */
  readonly onUnwatched: (error: Error) => void;
  /** Called after rules or sets that other software had changed were restored. */
  readonly onRepair: (repair: Repair) => void;
}

export interface Repair {
  readonly damage: readonly Damage[];
  /** Damage that is still there, or there again. */
  readonly left: readonly Damage[];
  /** When all rules and sets were last known to be in place, in ms of performance.now(). */
  readonly goodAt: number;
}

/**
 * Addresses that join the steered set, and which connections may be adopted until they are in it.
 */
interface Growth {
  readonly addresses: readonly string[];
  readonly adopt: GrowthAdoption;
  /**
   * Whether connections with the judged bit are judged too: while rules were missing, an answer in
   * a denied connection may have been taken for a connection of its own. @default false
   */
  readonly rejudge?: boolean;
}

export class Enforcement {
  readonly workers: JudgingThreads;
  /** Exactly one of the two is set, and it owns the workers. */
  readonly #queues: QueueWorkers | undefined;
  readonly #copies: CopyJudge | undefined;
  readonly #options: EnforcementOptions;
  readonly #steering: Steering;
  #table: RuleTable;
  #steered: ReadonlySet<string>;
  /** Whose flows must be judged again, because of changes that are not in force yet. */
  #concerned = Concerned.everybody();
  #rejudged = 0;
  #revoked = 0;
  /** When the threads began to take packets, in ms of performance.now(). */
  #judgingSince = Number.NaN;
  /** When the kernel reported the first change since the last check, in ms of performance.now(). */
  #toldAt: number | undefined;
  #isWatching = false;
  /**
   * Whether rules were missing and the connections that opened meanwhile still have to be judged.
   */
  #owesJudging = false;
  /**
   * When the kernel's rules and sets were last known to be in place, in ms of performance.now().
   */
  #goodAt = Number.NaN;

  private constructor(options: EnforcementOptions, steering: Steering, { table, steered }: CompiledPolicies) {
    const { mark, fail, deny, firstQueue, mode } = options;
    const beforeBind = (command: (command: Command) => Promise<void>) => this.#tellAll(command);
    this.#options = options;
    this.#steering = steering;
    this.#table = table;
    this.#steered = new Set(steered);
    if (mode === 'audit') {
      this.#copies = new CopyJudge({ ...options, group: firstQueue, beforeBind }, table.buffer);
      this.workers = this.#copies.threads;
      return;
    }
    this.#queues = new QueueWorkers(
      {
        ...options,
        failOpen: fail === 'open',
        judgedBit: mark.judged,
        rejectBit: deny === 'reject' ? mark.reject : 0,
        beforeBind,
      },
      table.buffer,
    );
    this.workers = this.#queues;
  }

  /**
   * Brings the first table into force and adopts kernel rules that are in place. Throws what
   * steering or the queues throw, and the reason of `signal` if it is aborted. It then leaves no
   * thread running, but may leave rules.
   */
  static async start(
    options: EnforcementOptions,
    steering: Steering,
    compiled: CompiledPolicies,
    signal: AbortSignal,
  ): Promise<Enforcement> {
    beginStep('starting threads');
    const enforcement = new Enforcement(options, steering, compiled);
    try {
      await enforcement.#start(signal);
      return enforcement;
    } catch (error) {
      await enforcement.#endThreads();
      throw error;
    }
  }

  /** When judging began, in ms of performance.now(). */
  get judgingSince(): number {
    return this.#judgingSince;
  }

  /** Which changes by other software the kernel reports at once. */
  get changesTold(): ToldChanges {
    return this.#isWatching ? this.#steering.told : 'nothing';
  }

  /** Limitations of the kernel's rules on this machine, in sentences. */
  get caveats(): readonly string[] {
    return this.#steering.caveats;
  }

  /** The number of steered addresses of this node. */
  get steered(): number {
    return this.#steered.size;
  }

  /** Returns the kernel's view of the queues; empty in audit mode. */
  kernelQueues(): KernelQueue[] {
    return this.#queues?.kernelQueues() ?? [];
  }

  /** Counts of packet copies; undefined outside audit mode. */
  get copies(): CopyCounts | undefined {
    return this.#copies?.counts;
  }

  /** What keeps packets from being judged, in one line; undefined if nothing does. */
  get problem(): string | undefined {
    return this.#copies?.problem;
  }

  /** Offloaded flows that a later table judged again. */
  get rejudged(): number {
    return this.#rejudged;
  }

  /** How many of them it denied. */
  get revoked(): number {
    return this.#revoked;
  }

  /**
   * Brings a table into force. Resolves when it is, on established and offloaded flows too. One
   * call at a time. If it rejects, the table may be in force in part; another update brings all of
   * it into force.
   */
  async update({ table, steered, concerned }: CompiledPolicies): Promise<void> {
    // After a failed change it is unknown which table judged the flows that were reported.
    const before = this.#concerned.isEmpty ? this.#table : undefined;
    this.#table = table;
    // A failed change may be in force in part, and its identity numbers may mean other pods in this
    // table.
    this.#concerned = this.#concerned.isEmpty ? concerned : Concerned.everybody();
    await this.workers.command({ type: 'table', table: table.buffer });
    const grown = steered.filter((address) => !this.#steered.has(address));
    if (grown.length > 0) await this.#tellConnectionsOf(grown);
    let damage: readonly Damage[] = [];
    // Revoking does not wait for the kernel's rules or their tools, which may fail.
    const parts = await Promise.allSettled([
      this.#judgeAgain(this.#concerned, before),
      this.#steer(steered, { addresses: grown, adopt: 'newly-steered' }, async ({ ipv4, ipv6 }) => {
        damage = await this.#steering.setSteered(ipv4, ipv6);
      }),
    ]);
    for (const part of parts) if (part.status === 'rejected') throw part.reason;
    this.#steered = new Set(steered);
    // Judges the connections that were adopted meanwhile.
    await this.#judgeAgain(addressesOf(grown), before);
    this.#concerned = new Concerned();
    if (damage.length === 0) return;
    // Judges the connections that opened while rules were missing.
    await this.#tellConnectionsOf(steered);
    await this.#reportRepair(damage, this.#goodAt);
  }

  /**
   * Restores rules and sets that other software has removed, as if all pods had just become
   * steered. Must not run during an update. Throws SteeringError.
   */
  async repair(): Promise<void> {
    await this.#repair([], this.#goodAt);
  }

  /** @param restored damage that was restored already, as far as that got */
  async #repair(restored: readonly Damage[], goodAt: number): Promise<void> {
    const { damage } = await this.#check();
    if (damage.length === 0 && !this.#owesJudging) return;
    this.#owesJudging = true;
    await this.#tellConnectionsOf([...this.#steered]);
    await this.#install('all');
    this.#owesJudging = false;
    const all = [...restored, ...damage];
    if (all.length > 0) await this.#reportRepair(all, goodAt);
  }

  /**
   * Restores what the kernel reports as removed by other software, as fast as possible, then checks
   * whether that was all. Judges the connections that opened meanwhile. Must not run during an
   * update. Returns whether everything was checked. Throws SteeringError.
   */
  async restore(): Promise<boolean> {
    const goodAt = this.#toldAt ?? this.#goodAt;
    this.#toldAt = undefined;
    const steered = [...this.#steered];
    let damage: Damage[] | undefined;
    const restore = async () => {
      // Software that flushes one table often flushes the next. Changes reported meanwhile are
      // restored at once; the full check follows.
      for (let i = 0; i < MOST_RESTORES; i++) {
        const restored = await this.#steering.restoreTold();
        if (restored === undefined) break;
        this.#owesJudging = true;
        damage = [...(damage ?? []), ...restored];
      }
    };
    try {
      // Nothing is adopted: adoption would let denied packets pass until they are known. Without
      // it, allowed connections of these milliseconds lose some packets at most.
      await this.#steer(steered, { addresses: steered, adopt: 'no-replies', rejudge: true }, restore);
      await restore();
    } catch {
      // Sets that the rules refer to may be gone too. Any other fault shows again in the full
      // repair, which throws it.
      this.#owesJudging = true;
      await this.#repair(damage ?? [], goodAt);
      return true;
    }
    if (damage === undefined) return false;
    await this.#judgeAgain(Concerned.everybody());
    this.#owesJudging = false;
    // `nft flush ruleset` removes the sign too.
    await this.sign();
    const { damage: left } = await this.#check();
    if (damage.length > 0) this.#options.onRepair({ damage, left, goodAt });
    if (left.length > 0) await this.repair();
    return true;
  }

  /** Returns what is not in place, and when all was last known to be. */
  async #check(): Promise<{ readonly damage: readonly Damage[]; readonly goodAt: number }> {
    const goodAt = this.#goodAt;
    const now = performance.now();
    const damage = await this.#steering.findDamage();
    if (damage.length === 0) this.#goodAt = now;
    return { damage, goodAt };
  }

  /** Checks again before it reports, because a repair may not have held. */
  async #reportRepair(damage: readonly Damage[], goodAt: number): Promise<void> {
    const { damage: left } = await this.#check();
    this.#options.onRepair({ damage, left, goodAt });
  }

  /**
   * Renews the sign for the next agent; see steering/sign.ts. A failure is reported and changes
   * nothing for this agent.
   */
  async sign(): Promise<void> {
    await this.#steering.sign('judging').catch(this.#options.onUnsigned);
  }

  /** Stops judging. The kernel's rules stay unless `removeSteering` is set. */
  async stop(removeSteering: boolean): Promise<void> {
    try {
      if (removeSteering) await this.#steering.remove();
    } finally {
      await this.#endThreads();
    }
    // The sign is only information for the next agent.
    if (!removeSteering) await this.#steering.sign('stopped').catch(() => undefined);
  }

  async #endThreads(): Promise<void> {
    this.#steering.unwatch();
    await (this.#copies ?? this.workers).stop();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { fail, adopt, hasPredecessor } = this.#options;
    beginStep('binding queues');
    const tracked = await unlessAborted(this.workers.bind(), signal);
    this.#judgingSince = performance.now();
    beginStep('steering');
    this.#watch();
    // A predecessor's rules dropped everything new while no agent judged, so an unknown connection
    // was never allowed.
    await this.#install(hasPredecessor && fail === 'closed' ? 'nothing' : 'all', signal);
    const milliseconds = this.#copies === undefined ? adopt : ADOPT_IN_AUDIT;
    if (tracked === 0 && milliseconds > 0) await this.workers.command({ type: 'adopt-mid-stream', milliseconds });
    beginStep('signing');
    await this.sign();
    signal.throwIfAborted();
  }

  #watch(): void {
    const { onForeignChange, onUnwatched } = this.#options;
    try {
      this.#steering.watch(() => {
        this.#toldAt ??= performance.now();
        onForeignChange();
      });
      this.#isWatching = true;
    } catch (error) {
      onUnwatched(error as Error);
    }
  }

  async #install(adopt: GrowthAdoption, signal?: AbortSignal): Promise<void> {
    const { firstQueue, count, mark, fail, deny, offload, mode } = this.#options;
    const steered = [...this.#steered];
    const now = performance.now();
    await this.#steer(steered, { addresses: steered, adopt }, ({ ipv4, ipv6 }) =>
      this.#steering.apply(
        {
          queues: { first: firstQueue, count },
          steeredIPv4: ipv4,
          steeredIPv6: ipv6,
          ...{ mark, fail, deny, offload },
          ...(mode === 'audit' && { copiesTo: firstQueue }),
        },
        signal,
      ),
    );
    this.#goodAt = now;
    await this.#judgeAgain(Concerned.everybody());
    this.#concerned = new Concerned();
  }

  /**
   * Changes the set of steered addresses. If it grows, the workers do not know the connections that
   * open until it is in place. Packets of those pass if one direction allows them, until the
   * kernel's table has been read once more.
   */
  async #steer(
    steered: readonly string[],
    { addresses, adopt, rejudge = false }: Growth,
    change: (steered: { readonly ipv4: string[]; readonly ipv6: string[] }) => Promise<void>,
  ): Promise<void> {
    const [ipv6, ipv4] = partition(steered, (address) => address.includes(':'));
    if (addresses.length === 0) return change({ ipv4, ipv6 });
    const milliseconds = ADOPT_WHILE_STEERING;
    await this.workers.command({ type: 'adopt-while-growing', what: adopt, milliseconds });
    try {
      await change({ ipv4, ipv6 });
      await this.#tellConnectionsOf(addresses, rejudge);
      // A packet queued before its connection got the mark is known to the worker in no other way.
      await this.workers.command({ type: 'drain' });
    } finally {
      // Replies of before may be on their way for a while.
      if (adopt !== 'no-replies')
        await this.workers.command({ type: 'adopt-while-growing', what: 'nothing', milliseconds: 0 });
    }
  }

  /**
   * Revokes offloaded flows that the table denies. Audit mode revokes nothing; its thread reports
   * them.
   */
  async #judgeAgain(concerned: Concerned, before?: RuleTable): Promise<void> {
    const reading = { table: this.#table, before, concerned, seed: this.#seed };
    if (this.#copies !== undefined) {
      this.#rejudged += await seedUnjudged(reading, this.#allowed);
      return;
    }
    const { judged, revoked } = await revokeJudged(reading, this.#options.mark.judged);
    this.#rejudged += judged;
    this.#revoked += revoked;
  }

  /** Seeds the workers with the connections of these addresses. */
  async #tellConnectionsOf(addresses: readonly string[], rejudge = false): Promise<void> {
    const concerned = addressesOf(addresses);
    await seedUnjudged({ table: this.#table, concerned, seed: this.#seed }, this.#allowed, rejudge);
  }

  /**
   * Seeds a new worker with every connection that it may meet. Returns how many connections the
   * kernel tracks.
   */
  async #tellAll(command: (command: Command) => Promise<void>): Promise<number> {
    const seed = (flows: Int32Array) => command({ type: 'seed', flows });
    return seedUnjudged({ table: this.#table, concerned: Concerned.everybody(), seed }, this.#allowed);
  }

  readonly #seed = (flows: Int32Array) => this.workers.command({ type: 'seed', flows });

  /**
   * Without offload the workers see every packet of a flow. With it, audit mode sees none of an
   * established flow.
   */
  get #allowed(): Allowed {
    const { offload, mode, mark } = this.#options;
    if (!offload) return 'known';
    return mode === 'enforce' ? { bit: mark.judged } : 'left';
  }
}

function addressesOf(texts: readonly string[]): Concerned {
  const concerned = new Concerned();
  for (const text of texts) {
    const address = addressWords(text);
    if (address !== undefined) concerned.addAddress(address);
  }
  return concerned;
}

function partition<T>(items: readonly T[], holds: (item: T) => boolean): [T[], T[]] {
  return [items.filter(holds), items.filter((item) => !holds(item))];
}
