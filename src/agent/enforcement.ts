/**
 * Bringing a compiled table into force: the queue workers that judge by it, the kernel rules that send packets to them, and the flows that
 * were there before.
 *
 * The order keeps two promises at once. The table is published first, so that no packet meets a table older than the rule that sent it
 * here. Then connections that nobody judged yet are made known, and only then does the set of steered addresses grow, so that an
 * allowed connection of a newly steered pod loses nothing. Last, judged flows that the table now denies lose their mark. A worker
 * knows the connections of the steered pods before it takes the first packet out of its queue.
 *
 * In audit mode the order is the same, but a thread judges copies (dataplane/nflog), no connection is marked, and what the table denies is told of, not revoked.
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

/** While the set of steered addresses changes, in ms; it is ended explicitly, and this only bounds it where a command hangs. */
const ADOPT_WHILE_STEERING = 2000;
/** In audit mode mid-stream packets are adopted for so long, in ms, where the kernel tracked nothing before: now it does, and an agent that enforces later knows them. */
const ADOPT_IN_AUDIT = 3_600_000;

/** Of one repair, for what other software takes away while it is put back. */
const MOST_RESTORES = 5;

export interface EnforcementOptions
  extends Omit<QueueWorkersOptions, 'judgedBit' | 'rejectBit' | 'failOpen' | 'beforeBind'>,
    Pick<CopyJudgeOptions, 'onChange' | 'onUnread'>,
    Pick<SteeringState, 'mark' | 'fail' | 'deny'> {
  /** `audit`: the table's policies are audited, all of them, and only copies of packets are judged; their NFLOG group has the number of the first queue. */
  readonly mode: PolicyMode;
  /** How long mid-stream packets pass at first where the kernel tracked no connection before, in ms; not of audit mode. */
  readonly adopt: number;
  /** Whether kernel rules of an earlier agent that handed packets over are in place. */
  readonly hasPredecessor: boolean;
  /** The sign for the next agent could not be renewed. */
  readonly onUnsigned: (error: Error) => void;
  /** The kernel has told that other software changed rules: `restore` is wanted, soon. */
  readonly onForeignChange: () => void;
  /** The kernel does not tell. */
  readonly onUnwatched: (error: Error) => void;
  /** Other software had changed the kernel's rules or sets, and they were put in place again. */
  readonly onRepair: (repair: Repair) => void;
}

export interface Repair {
  readonly damage: readonly Damage[];
  /** What is still, or again, not in place. */
  readonly left: readonly Damage[];
  /** When all was last known to be in place, in ms of performance.now(): nothing was wrong before. */
  readonly goodAt: number;
}

/** What joins the steered addresses, and whose connections may be adopted until it is in place. */
interface Growth {
  readonly addresses: readonly string[];
  readonly adopt: GrowthAdoption;
  /** Whether connections with the judged bit are judged, too: an answer in a denied one may have been taken for a connection of its own. @default false */
  readonly rejudge?: boolean;
}

export class Enforcement {
  readonly workers: JudgingThreads;
  /** Exactly one of the two is there, and has the workers. */
  readonly #queues: QueueWorkers | undefined;
  readonly #copies: CopyJudge | undefined;
  readonly #options: EnforcementOptions;
  readonly #steering: Steering;
  #table: RuleTable;
  #steered: ReadonlySet<string>;
  /** Whose flows are to be judged again, from changes that are not in force yet. */
  #concerned = Concerned.everybody();
  #rejudged = 0;
  #revoked = 0;
  /** Since when packets are taken, in ms of performance.now(). */
  #judgingSince = Number.NaN;
  /** When the kernel first told of a change that was not looked at since, in ms of performance.now(). */
  #toldAt: number | undefined;
  #isWatching = false;
  /** Whether rules were missing, and what was opened meanwhile is not judged yet. */
  #owesJudging = false;
  /** When the kernel's rules and sets were last known to be in place, in ms of performance.now(). */
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
   * Brings the first table into force, adopting kernel rules that are in place. Throws what steering or the queues throw, and the reason of `signal` where it is aborted; no
   * thread is then left running, but rules may be left.
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

  /** Since when packets are judged, in ms of performance.now(). */
  get judgingSince(): number {
    return this.#judgingSince;
  }

  /** What of the kernel's rules it hears of at once when other software changes it. */
  get changesTold(): ToldChanges {
    return this.#isWatching ? this.#steering.told : 'nothing';
  }

  /** What is not as it should be with the kernel's rules, in sentences. */
  get caveats(): readonly string[] {
    return this.#steering.caveats;
  }

  /** Steered addresses of this node. */
  get steered(): number {
    return this.#steered.size;
  }

  /** The kernel's side of the queues; none in audit mode. */
  kernelQueues(): KernelQueue[] {
    return this.#queues?.kernelQueues() ?? [];
  }

  /** Copies of packets, in audit mode. */
  get copies(): CopyCounts | undefined {
    return this.#copies?.counts;
  }

  /** What keeps packets from being judged, in one line; undefined while nothing does. */
  get problem(): string | undefined {
    return this.#copies?.problem;
  }

  /** Flows that the kernel knew as judged and that were judged again by a later table. */
  get rejudged(): number {
    return this.#rejudged;
  }

  /** Those of them that it denied. */
  get revoked(): number {
    return this.#revoked;
  }

  /**
   * Resolves when the table is in force, on established and offloaded flows too. One at a time. Where it rejects, what was in force before may be
   * so in part, and another update brings all of it into force.
   */
  async update({ table, steered, concerned }: CompiledPolicies): Promise<void> {
    // Where a change has failed, nobody knows by which table what was told of.
    const before = this.#concerned.isEmpty ? this.#table : undefined;
    this.#table = table;
    // Of a change that failed it is not known how far it came, nor by which numbers this table calls whom it concerned.
    this.#concerned = this.#concerned.isEmpty ? concerned : Concerned.everybody();
    await this.workers.command({ type: 'table', table: table.buffer });
    const grown = steered.filter((address) => !this.#steered.has(address));
    if (grown.length > 0) await this.#tellConnectionsOf(grown);
    let damage: readonly Damage[] = [];
    // What is revoked does not wait for the kernel's rules, nor for their tools, which may fail.
    const parts = await Promise.allSettled([
      this.#judgeAgain(this.#concerned, before),
      this.#steer(steered, { addresses: grown, adopt: 'newly-steered' }, async ({ ipv4, ipv6 }) => {
        damage = await this.#steering.setSteered(ipv4, ipv6);
      }),
    ]);
    for (const part of parts) if (part.status === 'rejected') throw part.reason;
    this.#steered = new Set(steered);
    // What was adopted meanwhile.
    await this.#judgeAgain(addressesOf(grown), before);
    this.#concerned = new Concerned();
    if (damage.length === 0) return;
    // What was opened while rules were missing.
    await this.#tellConnectionsOf(steered);
    await this.#reportRepair(damage, this.#goodAt);
  }

  /**
   * Puts the kernel's rules and sets in place again where other software has taken them away, as if all pods had just become steered. Not while an update is
   * under way. Throws SteeringError.
   */
  async repair(): Promise<void> {
    await this.#repair([], this.#goodAt);
  }

  /** @param restored what was missing and was put back already, as far as that went */
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
   * Puts in place again, as fast as can be, what the kernel has told that other software took away, then looks whether that was all. Connections that were opened meanwhile are judged. Not while
   * an update is under way. Gives back whether all was looked at. Throws SteeringError.
   */
  async restore(): Promise<boolean> {
    const goodAt = this.#toldAt ?? this.#goodAt;
    this.#toldAt = undefined;
    const steered = [...this.#steered];
    let damage: Damage[] | undefined;
    const restore = async () => {
      // Whoever flushes one table often flushes the next: what is told of meanwhile is put back at once, and all is looked at after that.
      for (let i = 0; i < MOST_RESTORES; i++) {
        const restored = await this.#steering.restoreTold();
        if (restored === undefined) break;
        this.#owesJudging = true;
        damage = [...(damage ?? []), ...restored];
      }
    };
    try {
      // Nothing is adopted: what is denied would pass until it is known, and of what is allowed some packets of connections of these milliseconds are lost at most.
      await this.#steer(steered, { addresses: steered, adopt: 'nothing', rejudge: true }, restore);
      await restore();
    } catch {
      // What rules refer to may be gone as well; and what failed otherwise is done again, and throws again.
      this.#owesJudging = true;
      await this.#repair(damage ?? [], goodAt);
      return true;
    }
    if (damage === undefined) return false;
    await this.#judgeAgain(Concerned.everybody());
    this.#owesJudging = false;
    // `nft flush ruleset` takes it, too.
    await this.sign();
    const { damage: left } = await this.#check();
    if (damage.length > 0) this.#options.onRepair({ damage, left, goodAt });
    if (left.length > 0) await this.repair();
    return true;
  }

  /** Gives back what is not in place, and until when all is known to have been. */
  async #check(): Promise<{ readonly damage: readonly Damage[]; readonly goodAt: number }> {
    const goodAt = this.#goodAt;
    const now = performance.now();
    const damage = await this.#steering.findDamage();
    if (damage.length === 0) this.#goodAt = now;
    return { damage, goodAt };
  }

  /** Whether all that was repaired is in place is seen by looking. */
  async #reportRepair(damage: readonly Damage[], goodAt: number): Promise<void> {
    const { damage: left } = await this.#check();
    this.#options.onRepair({ damage, left, goodAt });
  }

  /** Tells the next agent that this one is there; see steering/sign.ts. That it fails changes nothing for this one. */
  async sign(): Promise<void> {
    await this.#steering.sign('judging').catch(this.#options.onUnsigned);
  }

  /** Ends judging. The kernel's rules stay, unless `removeSteering` is set. */
  async stop(removeSteering: boolean): Promise<void> {
    try {
      if (removeSteering) await this.#steering.remove();
    } finally {
      await this.#endThreads();
    }
    // A sign is no more than a word to the next agent.
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
    // A predecessor's rules have dropped everything new while nobody judged: there what is unknown was never allowed.
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
   * Changes the set of steered addresses. Where it grows, connections of the new ones that open until it is in place are unknown at first: their
   * packets pass if a direction allows them, until the kernel's table was read once more.
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
      // What was queued before its connection got its mark is not known to the worker in any other way.
      await this.workers.command({ type: 'drain' });
    } finally {
      await this.workers.command({ type: 'adopt-while-growing', what: 'nothing', milliseconds: 0 });
    }
  }

  /** Revokes offloaded flows that the table denies; in audit mode nothing is revoked, and the thread tells of them. */
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

  /** Tells the workers of the connections of these addresses. */
  async #tellConnectionsOf(addresses: readonly string[], rejudge = false): Promise<void> {
    const concerned = addressesOf(addresses);
    await seedUnjudged({ table: this.#table, concerned, seed: this.#seed }, this.#allowed, rejudge);
  }

  /** Tells a worker that knows nothing of all that it may meet; gives back how many connections the kernel has. */
  async #tellAll(command: (command: Command) => Promise<void>): Promise<number> {
    const seed = (flows: Int32Array) => command({ type: 'seed', flows });
    return seedUnjudged({ table: this.#table, concerned: Concerned.everybody(), seed }, this.#allowed);
  }

  readonly #seed = (flows: Int32Array) => this.workers.command({ type: 'seed', flows });

  /** Without offload every packet of a flow is seen; with it, in audit mode, none of an established one is. */
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
