/**
 * Flows that the workers opened or denied: read in short turns, named, put down to the policies that decided them, noted in the log of flows and counted by
 * policy. However many there are, the main thread has most of its time for the changes of the cluster.
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

/** How often flows are read, in ms, */
const INTERVAL = 250;
/** and how long that may take. */
const TURN = 5;

export interface FlowObserverOptions {
  readonly node: NodeIdentity;
  /** As in CompilerOptions. @default enforce */
  readonly mode?: PolicyMode;
  /** Where flows are noted. */
  readonly log?: FlowLog | undefined;
  /** Whether they are counted by policy. */
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

  /** What was seen before these changes is told of as things were then; what there is no time for is left out. */
  apply(changes: readonly ClusterChange[]): void {
    this.#read('skip');
    this.#attribution.apply(changes);
    this.#ends.apply(changes);
    this.#counter?.apply(changes);
    this.#log?.namesChanged();
    this.#nameEnds(changes);
  }

  /** A pod's first packets can be seen before its record tells its address: the lines that they made get its name. */
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

  /** Allowed and denied flows by policy; undefined where they are not counted. */
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
