/**
 * Reads the flows that the workers opened or denied, names their ends, attributes them to the
 * policies that decided, and logs and counts them. It reads in short turns, so that the main thread
 * keeps most of its time for changes of the cluster.
 */
import type { PolicyMode } from '../cluster/records.ts';
import type { ClusterChange } from '../cluster/store.ts';
import type { QueueWorkers } from '../dataplane/nfqueue/queue-workers.ts';
import { FlowDescription } from '../flows/flow-description.ts';
import { FlowEnds } from '../flows/flow-ends.ts';
import type { FlowEvent } from '../flows/flow-events.ts';
import type { FlowLog } from '../flows/flow-log.ts';
import { type PolicyFlowCount, PolicyFlowCounter } from '../flows/policy-flow-counter.ts';
import { Attribution } from '../policy/attribution.ts';
import type { NodeIdentity } from '../policy/compiler.ts';

/** How often flows are read, in ms. */
const INTERVAL = 250;
/** How long one reading may take, in ms. */
const TURN = 5;

export interface FlowObserverOptions {
  readonly node: NodeIdentity;
  /** As in CompilerOptions. @default enforce */
  readonly mode?: PolicyMode;
  /** The log for flows. */
  readonly log?: FlowLog | undefined;
  /** Whether to count flows by policy. */
  readonly byPolicy: boolean;
}

export class FlowObserver {
  readonly #log: FlowLog | undefined;
  readonly #attribution: Attribution;
  readonly #ends: FlowEnds;
  readonly #description: FlowDescription;
  readonly #counter: PolicyFlowCounter | undefined;
  #workers: Pick<QueueWorkers, 'drainFlowEvents'> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ node, mode, log, byPolicy }: FlowObserverOptions) {
    this.#attribution = new Attribution(mode);
    this.#log = log;
    this.#ends = new FlowEnds(this.#attribution, node);
    this.#description = new FlowDescription({
      attribution: this.#attribution,
      endAt: (address) => this.#ends.at(address),
      isHere: (pod) => pod.node === node.name,
    });
    this.#counter = byPolicy ? new PolicyFlowCounter(this.#attribution) : undefined;
  }

  start(workers: Pick<QueueWorkers, 'drainFlowEvents'>): void {
    this.#workers = workers;
    this.#timer = setInterval(() => this.#read('keep'), INTERVAL);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * Applies changes of the cluster. First reports the flows seen so far, with the names and
   * policies that applied to them; those that do not fit into this turn are left out and counted.
   */
  apply(changes: readonly ClusterChange[]): void {
    this.#read('skip');
    this.#attribution.apply(changes);
    this.#ends.apply(changes);
    this.#counter?.apply(changes);
    this.#log?.namesChanged();
    this.#nameEnds(changes);
  }

  /**
   * Names pods in lines that are logged already: a pod's first packets can come before its record
   * has an address.
   */
  #nameEnds(changes: readonly ClusterChange[]): void {
    if (this.#log === undefined) return;
    for (const { type, record } of changes) {
      if (type === 'delete' || record.kind !== 'Pod' || record.startedAt === undefined) continue;
      for (const address of record.addresses) {
        const end = this.#ends.at(address);
        if (end.kind === 'pod' && end.namespace === record.namespace && end.name === record.name)
          this.#log.nameEnd(end, record.startedAt * 1000);
      }
    }
  }

  /** Allowed and denied flows by policy; undefined if they are not counted. */
  policyFlows(): Iterable<PolicyFlowCount> | undefined {
    this.#read('keep');
    return this.#counter?.counts();
  }

  #read(rest: 'keep' | 'skip'): void {
    const now = Date.now();
    const lost = this.#workers?.drainFlowEvents((event) => this.#observe(event, now), { milliseconds: TURN, rest });
    this.#log?.leaveOut(lost ?? 0);
    this.#log?.publish(now);
  }

  #observe(event: FlowEvent, now: number): void {
    this.#counter?.count(event);
    this.#log?.note(this.#description.sighting(event), now);
  }
}
