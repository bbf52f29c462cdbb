/**
 * The agent of one node: cluster changes in, enforcement out. It must run in the node's network namespace.
 *
 * The order of every change keeps two promises at once. Compile and publish come first, so that no packet meets a table older than the rule that sent it here. Then
 * flows that nobody judged yet are made known, and only then does the set of isolated addresses change, so that an allowed connection of a newly isolated pod loses
 * nothing. Last, offloaded flows that are denied now lose their mark. When all is done the change is in force.
 */
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import type { ClusterChange, ClusterSnapshot } from '../cluster/store.ts';
import { COUNTER_OFFLOADED, packetCounter } from '../dataplane/nfqueue/protocol.ts';
import { type KernelQueue, QueueWorkers } from '../dataplane/nfqueue/queue-workers.ts';
import { chooseSteering, type SteeringChoice } from '../dataplane/steering/probe.ts';
import { DEFAULT_MARK, type MarkBits, type Steering } from '../dataplane/steering/state.ts';
import { FIRST_DENY, REASONS, type ReasonName } from '../filter/reasons.ts';
import { type CompiledPolicies, type NodeIdentity, PolicyCompiler } from '../policy/compiler.ts';
import { revokeJudged, seedUnjudged } from './established-flows.ts';
import { slotOf } from './slot.ts';

export interface AgentOptions {
  readonly node: NodeIdentity;
  /** Queues, each with a thread. @default the number of cores, 4 at most */
  readonly queues?: number;
  /** Number of the first queue. @default 100 */
  readonly firstQueue?: number;
  /** @default 'auto' */
  readonly steering?: SteeringChoice;
  /** Whether the kernel carries a flow on its own once it was allowed. @default true */
  readonly offload?: boolean;
  /** What happens to packets of isolated pods while nobody judges them. @default 'closed' */
  readonly fail?: 'closed' | 'open';
  /** What a denied sender gets: nothing, or a TCP reset or ICMP error. @default 'drop' */
  readonly deny?: 'drop' | 'reject';
  readonly mark?: MarkBits;
  /** Flows that each queue's thread keeps. @default 65536 */
  readonly flowCapacity?: number;
  readonly log: Logger;
}

export interface PacketCount {
  readonly direction: 'egress' | 'ingress';
  readonly verdict: 'allow' | 'deny';
  readonly reason: ReasonName;
  readonly count: number;
}

export interface AgentCounters {
  /** Packets judged, by direction and reason; only those that occurred. */
  readonly packets: readonly PacketCount[];
  readonly judged: number;
  /** Judged packets after which the kernel carries the flow on. */
  readonly offloaded: number;
  /** Flows that the kernel knew as judged and that a later change revoked. */
  readonly revoked: number;
  /** Of the RuleTable in force. */
  readonly generation: number;
  /** Addresses of isolated pods of this node. */
  readonly isolated: number;
  readonly queues: readonly KernelQueue[];
}

const DEFAULT_FIRST_QUEUE = 100;
const DEFAULT_FLOW_CAPACITY = 65_536;
const MAX_DEFAULT_QUEUES = 4;
/** While a set of isolated addresses changes, in ms; ended explicitly, this only bounds it if the agent dies in between. */
const ADOPT_WHILE_STEERING = 2000;

export class Agent {
  readonly #options: AgentOptions;
  readonly #mark: MarkBits;
  readonly #offload: boolean;
  readonly #compiler: PolicyCompiler;
  #workers: QueueWorkers | undefined;
  #steering: Steering | undefined;
  #compiled: CompiledPolicies | undefined;
  #isolated: ReadonlySet<string> = new Set();
  #revoked = 0;
  #pending: ClusterChange[] = [];
  #applying: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#mark = options.mark ?? DEFAULT_MARK;
    this.#offload = options.offload ?? true;
    this.#compiler = new PolicyCompiler(options.node);
  }

  /**
   * Compiles, starts the queues, steers. When it resolves, everything is in force. Throws SteeringError, NetlinkError or SystemCallError where the machine
   * does not allow it; nothing that was started is then left running.
   */
  async start(snapshot: ClusterSnapshot): Promise<void> {
    const { queues, firstQueue = DEFAULT_FIRST_QUEUE, steering = 'auto', log } = this.#options;
    const { fail = 'closed', deny = 'drop', flowCapacity = DEFAULT_FLOW_CAPACITY } = this.#options;
    const count = queues ?? Math.min(availableParallelism(), MAX_DEFAULT_QUEUES);
    this.#compiler.apply(allOf(snapshot));
    const compiled = this.#compiler.compile();
    this.#compiled = compiled;
    this.#steering = await chooseSteering(steering);
    this.#workers = await QueueWorkers.start(
      {
        firstQueue,
        count,
        flowCapacity,
        failOpen: fail === 'open',
        judgedBit: this.#mark.judged,
        offload: this.#offload,
        rejectBit: deny === 'reject' ? this.#mark.reject : 0,
        onFailure: (queue, error) => log.error({ queue, err: error }, 'a queue worker ended'),
      },
      compiled.table.buffer,
    );
    try {
      await this.#enforce(compiled, async ({ ipv4, ipv6 }, kind) => {
        await kind.apply({
          queues: { first: firstQueue, count },
          isolatedIPv4: ipv4,
          isolatedIPv6: ipv6,
          mark: this.#mark,
          fail,
          deny,
          offload: this.#offload,
        });
      });
    } catch (error) {
      await this.#workers.stop();
      throw error;
    }
    log.info({ steering: this.#steering.kind, queues: count, isolated: compiled.isolated.length }, 'enforcing');
  }

  /** Takes changes of the cluster and resolves when they are in force, on established and offloaded flows too. Changes that arrive together are compiled together. */
  async apply(changes: readonly ClusterChange[]): Promise<void> {
    this.#pending.push(...changes);
    this.#next ??= this.#applyNext(this.#applying);
    await this.#next;
  }

  counters(): AgentCounters {
    const counters = this.#workers?.counters() ?? new Float64Array();
    const packets: PacketCount[] = [];
    let judged = 0;
    for (const [direction, name] of (['egress', 'ingress'] as const).entries()) {
      for (const [index, reason] of REASONS.entries()) {
        const count = counters[packetCounter(direction, index)] ?? 0;
        judged += count;
        if (count > 0) packets.push({ direction: name, verdict: index < FIRST_DENY ? 'allow' : 'deny', reason, count });
      }
    }
    return {
      packets,
      judged,
      offloaded: counters[COUNTER_OFFLOADED] ?? 0,
      revoked: this.#revoked,
      generation: this.#compiled?.table.generation ?? 0,
      isolated: this.#isolated.size,
      queues: this.#workers?.kernelQueues() ?? [],
    };
  }

  /**
   * Ends judging. Unless `removeSteering` is set the kernel's rules stay: established offloaded flows go on, and new ones wait for the next agent as `fail` says.
   */
  async stop({ removeSteering = false } = {}): Promise<void> {
    // A change that fails was already reported to whoever applied it.
    await Promise.allSettled([this.#applying, this.#next]);
    if (removeSteering) await this.#steering?.remove();
    await this.#workers?.stop();
  }

  async #applyNext(current: Promise<void> | undefined): Promise<void> {
    await current?.catch(() => undefined);
    const changes = this.#pending;
    this.#pending = [];
    this.#applying = this.#next;
    this.#next = undefined;
    this.#compiler.apply(changes);
    const compiled = this.#compiler.compile();
    this.#compiled = compiled;
    await this.#workers?.command({ type: 'table', table: compiled.table.buffer });
    await this.#enforce(compiled, ({ ipv4, ipv6 }, steering) => steering.setIsolated(ipv4, ipv6));
    this.#options.log.debug({ changes: changes.length, generation: compiled.table.generation }, 'in force');
  }

  /** What follows the publishing of a table; see the order above. */
  async #enforce(
    compiled: CompiledPolicies,
    steer: (isolated: { ipv4: string[]; ipv6: string[] }, steering: Steering) => Promise<void>,
  ): Promise<void> {
    const { table, isolated } = compiled;
    if (this.#steering === undefined || this.#workers === undefined) throw new Error('the agent was not started');
    const workers = this.#workers;
    const seed = (flows: Int32Array) => workers.command({ type: 'seed', flows });
    const before = this.#isolated;
    const now = new Set(isolated);
    const grown = isolated.filter((address) => !before.has(address));
    const byFamily = {
      ipv4: isolated.filter((address) => !address.includes(':')),
      ipv6: isolated.filter((address) => address.includes(':')),
    };
    if (grown.length > 0) {
      const slots = new Set(grown.map((address) => slotOf(table, address)));
      const concerns = (slot: number) => slots.has(slot);
      await seedUnjudged(table, this.#offload ? this.#mark.judged : 0, concerns, seed);
      // A connection that opens between this reading and the next is unknown until then, so its packets pass where a direction allows them.
      await workers.command({ type: 'adopt', milliseconds: ADOPT_WHILE_STEERING });
      await steer(byFamily, this.#steering);
      await seedUnjudged(table, this.#offload ? this.#mark.judged : 0, concerns, seed);
      await workers.command({ type: 'adopt', milliseconds: 0 });
    } else {
      await steer(byFamily, this.#steering);
    }
    this.#isolated = now;
    this.#revoked += await revokeJudged(table, this.#mark.judged, seed);
  }
}

function allOf({ namespaces, pods, policies }: ClusterSnapshot): ClusterChange[] {
  return [...namespaces, ...pods, ...policies].map((record) => ({ type: 'set', record }));
}
