/** The cluster as the API server reports it: first a snapshot, then every change. */
import type { Logger } from 'pino';
import type { ClusterWatchStatus, KindStatus } from '../agent-state/watch-status.ts';
import type { NamespaceRecord, NodeRecord, PodRecord, PolicyRecord, WatchedRecord } from '../cluster/records.ts';
import type { ClusterChange, ClusterSnapshot, OnChanges } from '../cluster/store.ts';
import type { ApiConnection } from './api-connection.ts';
import type { Failure } from './api-error.ts';
import { type Clock, systemClock } from './clock.ts';
import { KindWatch, type KindWatchOptions } from './kind-watch.ts';
import { KnownRecords } from './known-records.ts';
import { NAMESPACES, NODES, PODS, POLICIES, type Resource } from './resources.ts';

export interface ClusterWatchOptions {
  readonly connection: ApiConnection;
  readonly log: Logger;
  /** Called when there are changes to take, from `synced` on; not again before they are taken. */
  readonly onChanges: OnChanges;
  /**
   * Called with all nodes when their first list is complete and after each change. Nothing waits
   * for it, and the right to watch nodes may be missing. @default nodes are not watched
   */
  readonly onNodes?: (nodes: readonly NodeRecord[]) => void;
  /** @default systemClock */
  readonly clock?: Clock;
  /** Numbers from 0 to below 1, for jitter. @default Math.random */
  readonly random?: () => number;
}

const WITHOUT_NODES =
  'the API server forbids to list and watch nodes, so forged addresses of pods pass; grant it as in daemonset/base/rbac.yaml';

interface Kind {
  readonly synced: boolean;
  run(signal: AbortSignal): Promise<void>;
  status(): KindStatus<Failure>;
}

/**
 * Watches the cluster's Namespaces, Pods and NetworkPolicies, and its Nodes if asked to, until it
 * is stopped. While the server is unreachable, the last known records stay valid and the watch
 * keeps retrying.
 */
export class ClusterWatch {
  readonly #options: ClusterWatchOptions;
  readonly #clock: Clock;
  readonly #namespaces = new KnownRecords<NamespaceRecord>();
  readonly #pods = new KnownRecords<PodRecord>();
  readonly #policies = new KnownRecords<PolicyRecord>();
  readonly #nodes = new KnownRecords<NodeRecord>();
  /** Kinds of which there must be a list before there is a snapshot. */
  readonly #kinds: readonly Kind[];
  /** Undefined if nodes are not watched. */
  readonly #nodeKind: Kind | undefined;
  readonly #stopping = new AbortController();
  readonly #firstLists = Promise.withResolvers<void>();
  #running: Promise<unknown> = Promise.resolve();
  #isSynced = false;
  /** Set from a change until `onChanges` is called. */
  #telling: NodeJS.Immediate | undefined;
  /** Whether `onChanges` was called and nobody has taken the changes yet. */
  #isTold = false;

  constructor(options: ClusterWatchOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    // A caller that stops the watch may not await `synced`: its rejection must not end the process.
    this.#firstLists.promise.catch(() => {});
    this.#kinds = [
      this.#keepUpToDate(NAMESPACES, this.#namespaces),
      this.#keepUpToDate(PODS, this.#pods),
      this.#keepUpToDate(POLICIES, this.#policies),
    ];
    this.#nodeKind = options.onNodes && this.#keepNodesUpToDate(options.onNodes);
  }

  /**
   * Resolves when the first lists are complete, except that of nodes; rejects if the watch stops
   * before.
   */
  get synced(): Promise<void> {
    return this.#firstLists.promise;
  }

  start(): void {
    this.#running = Promise.all(this.#all().map((kind) => kind.run(this.#stopping.signal)));
  }

  /**
   * Returns all known records. Changes are delivered relative to them: without a baseline, relative
   * to the end of the first lists.
   */
  baseline(): ClusterSnapshot {
    for (const records of [this.#namespaces, this.#pods, this.#policies]) records.forgetDifferences();
    return this.snapshot();
  }

  /** Returns all known records, with changes that are not delivered yet; those still follow. */
  snapshot(): ClusterSnapshot {
    return {
      namespaces: this.#namespaces.values(),
      pods: this.#pods.values(),
      policies: this.#policies.values(),
    };
  }

  status(): ClusterWatchStatus<Failure> {
    const kinds = this.#all().map((kind) => kind.status());
    const needed = kinds.slice(0, this.#kinds.length);
    const age = this.#isSynced ? Math.max(...needed.map(({ lastEventAge }) => lastEventAge ?? 0)) : undefined;
    return { server: this.#options.connection.server, synced: this.#isSynced, age, kinds };
  }

  #all(): readonly Kind[] {
    return this.#nodeKind === undefined ? this.#kinds : [...this.#kinds, this.#nodeKind];
  }

  /** Ends all connections and timers and delivers no more changes. Resolves when nothing runs. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearImmediate(this.#telling);
    this.#firstLists.reject(new Error('The watch was stopped before the first lists were complete.'));
    this.#options.connection.close();
    await this.#running;
  }

  #keepUpToDate<R extends WatchedRecord>(
    resource: Resource<R>,
    records: KnownRecords<R>,
    more: Pick<Partial<KindWatchOptions<R>>, 'onProgress' | 'withoutRight'> = {},
  ): Kind {
    const { connection, log, random = Math.random } = this.#options;
    const onProgress = () => this.#onProgress();
    return new KindWatch({ resource, records, connection, clock: this.#clock, random, log, onProgress, ...more });
  }

  #keepNodesUpToDate(onNodes: (nodes: readonly NodeRecord[]) => void): Kind {
    const records = this.#nodes;
    records.trackDifferences();
    let isTold = false;
    const onProgress = () => {
      // Each node reports its state every few minutes, and its addresses next to never change.
      if (isTold && !records.hasDifferences) return;
      isTold = true;
      records.forgetDifferences();
      if (!this.#stopping.signal.aborted) onNodes(records.values());
    };
    return this.#keepUpToDate(NODES, records, { onProgress, withoutRight: WITHOUT_NODES });
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
    // Everything that arrives before the immediate runs, of any kind, joins this call.
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
    // Deletions first: a new pod may have the address of a deleted one.
    for (const { deleted } of differences) for (const record of deleted) changes.push({ type: 'delete', record });
    for (const { set } of differences) for (const record of set) changes.push({ type: 'set', record });
    return changes;
  }
}
