/** The cluster as the API server tells it: first a snapshot, then every change. */
import type { Logger } from 'pino';
import type { ClusterWatchStatus, KindStatus } from '../agent-state/watch-status.ts';
import type { ClusterRecord, NamespaceRecord, PodRecord, PolicyRecord } from '../cluster/records.ts';
import type { ClusterChange, ClusterSnapshot, OnChanges } from '../cluster/store.ts';
import type { ApiConnection } from './api-connection.ts';
import type { Failure } from './api-error.ts';
import { type Clock, systemClock } from './clock.ts';
import { KindWatch } from './kind-watch.ts';
import { KnownRecords } from './known-records.ts';
import { NAMESPACES, PODS, POLICIES, type Resource } from './resources.ts';

export interface ClusterWatchOptions {
  readonly connection: ApiConnection;
  readonly log: Logger;
  /** Told of changes that came together at once, from `synced` on. `receivedAt` is in ms of the clock: by default that of `performance.now()`. */
  readonly onChanges: OnChanges;
  /** @default the system's */
  readonly clock?: Clock;
  /** Numbers from 0 to below 1, for jitter. @default Math.random */
  readonly random?: () => number;
}

interface Kind {
  readonly synced: boolean;
  run(signal: AbortSignal): Promise<void>;
  status(): KindStatus<Failure>;
}

/**
 * Watches Namespaces, Pods and NetworkPolicies of the whole cluster until it is stopped. A server that is gone changes nothing: what was
 * known last stands, and the watch goes on trying.
 */
export class ClusterWatch {
  readonly #options: ClusterWatchOptions;
  readonly #clock: Clock;
  readonly #namespaces = new KnownRecords<NamespaceRecord>();
  readonly #pods = new KnownRecords<PodRecord>();
  readonly #policies = new KnownRecords<PolicyRecord>();
  readonly #kinds: readonly Kind[];
  readonly #stopping = new AbortController();
  readonly #firstLists = Promise.withResolvers<void>();
  #running: Promise<unknown> = Promise.resolve();
  #isSynced = false;
  /** From a change until it is told of. */
  #telling: NodeJS.Immediate | undefined;
  /** Whether there are changes that were told of and not taken yet. */
  #isTold = false;

  constructor(options: ClusterWatchOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    // Who stops without waiting for it does not want to hear of it.
    this.#firstLists.promise.catch(() => {});
    this.#kinds = [
      this.#keepUpToDate(NAMESPACES, this.#namespaces),
      this.#keepUpToDate(PODS, this.#pods),
      this.#keepUpToDate(POLICIES, this.#policies),
    ];
  }

  /** Resolves when the first lists of all kinds are complete; rejects if it is stopped before. */
  get synced(): Promise<void> {
    return this.#firstLists.promise;
  }

  start(): void {
    this.#running = Promise.all(this.#kinds.map((kind) => kind.run(this.#stopping.signal)));
  }

  /** All that is known now. Changes that were not taken yet are in it, and can be taken all the same. */
  snapshot(): ClusterSnapshot {
    return {
      namespaces: this.#namespaces.values(),
      pods: this.#pods.values(),
      policies: this.#policies.values(),
    };
  }

  status(): ClusterWatchStatus<Failure> {
    const kinds = this.#kinds.map((kind) => kind.status());
    const age = this.#isSynced ? Math.max(...kinds.map(({ lastEventAge }) => lastEventAge ?? 0)) : undefined;
    return { server: this.#options.connection.server, synced: this.#isSynced, age, kinds };
  }

  /** Ends every connection and timer at once; nothing is told any more. Resolves when nothing runs. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearImmediate(this.#telling);
    this.#firstLists.reject(new Error('The watch was stopped before the first lists were complete.'));
    this.#options.connection.close();
    await this.#running;
  }

  #keepUpToDate<R extends ClusterRecord>(resource: Resource<R>, records: KnownRecords<R>): Kind {
    const { connection, log, random = Math.random } = this.#options;
    const onProgress = () => this.#onProgress();
    return new KindWatch({ resource, records, connection, clock: this.#clock, random, log, onProgress });
  }

  #onProgress(): void {
    if (this.#stopping.signal.aborted) return;
    if (!this.#isSynced) {
      if (!this.#kinds.every(({ synced }) => synced)) return;
      this.#isSynced = true;
      for (const records of [this.#namespaces, this.#pods, this.#policies]) records.trackDifferences();
      this.#firstLists.resolve();
      return;
    }
    if (this.#telling !== undefined || this.#isTold) return;
    const receivedAt = this.#clock.now();
    // What else has come by now, of any kind, goes along.
    this.#telling = setImmediate(() => {
      this.#telling = undefined;
      this.#isTold = true;
      this.#options.onChanges(() => this.#takeChanges(), receivedAt);
    });
  }

  #takeChanges(): readonly ClusterChange[] {
    this.#isTold = false;
    const differences = [this.#namespaces, this.#pods, this.#policies].map((records) => records.takeDifferences());
    const changes: ClusterChange[] = [];
    // An address of a deleted pod may be the address of a new one.
    for (const { deleted } of differences) for (const record of deleted) changes.push({ type: 'delete', record });
    for (const { set } of differences) for (const record of set) changes.push({ type: 'set', record });
    return changes;
  }
}
