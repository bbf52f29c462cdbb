/** Manifests as a source that lives: read at the start, and read again when a file changes. */
import { type FSWatcher, watch } from 'node:fs';
import type { Logger } from 'pino';
import { type ClusterChange, type ClusterSnapshot, ClusterStore } from '../cluster/store.ts';
import { type LoadedManifests, loadManifests } from './load.ts';
import { formatProblem } from './problems.ts';

/** An editor writes a file in several steps; what comes within this time, in ms, is read together. */
const SETTLE = 50;

export interface ManifestWatchOptions {
  readonly paths: readonly string[];
  /** The node of pods that name none. */
  readonly nodeName: string;
  readonly log: Logger;
  /** @param receivedAt when the first of these changes was noticed, in ms of performance.now() */
  readonly onChanges: (changes: readonly ClusterChange[], receivedAt: number) => void;
}

/** Follows files and folders until it is stopped. A file that cannot be read any more fails closed as any broken manifest does: its pods go, its errors are logged. */
export class ManifestWatch {
  readonly #options: ManifestWatchOptions;
  readonly #store = new ClusterStore();
  readonly #watchers: FSWatcher[] = [];
  readonly #firstRead = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;
  #noticedAt = 0;
  #readAt = 0;
  #reading: Promise<void> = Promise.resolve();

  constructor(options: ManifestWatchOptions) {
    this.#options = options;
    // Who stops without waiting for it does not want to hear of it.
    this.#firstRead.promise.catch(() => undefined);
  }

  /** Resolves when everything was read once; rejects where a path cannot be watched. */
  get synced(): Promise<void> {
    return this.#firstRead.promise;
  }

  start(): void {
    try {
      // Before the first read, so that no change falls between the two.
      for (const path of this.#options.paths) {
        this.#watchers.push(watch(path, { recursive: true }, () => this.#notice()));
      }
    } catch (error) {
      this.#firstRead.reject(error);
      return;
    }
    this.#reading = this.#read().then(this.#firstRead.resolve, this.#firstRead.reject);
  }

  snapshot(): ClusterSnapshot {
    return this.#store.snapshot();
  }

  /** Milliseconds since the files were last read. */
  get age(): number {
    return performance.now() - this.#readAt;
  }

  async stop(): Promise<void> {
    for (const watcher of this.#watchers) watcher.close();
    clearTimeout(this.#timer);
    this.#firstRead.reject(new Error('stopped before the manifests were read'));
    await this.#reading.catch(() => undefined);
  }

  #notice(): void {
    if (this.#timer !== undefined) return;
    this.#noticedAt = performance.now();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#reading = this.#reading.then(() => this.#reread());
    }, SETTLE);
  }

  async #reread(): Promise<void> {
    const receivedAt = this.#noticedAt;
    try {
      const changes = await this.#load();
      if (changes.length > 0) this.#options.onChanges(changes, receivedAt);
    } catch (error) {
      this.#options.log.error({ err: error }, 'the manifests could not be read; what was known stands');
    }
  }

  async #read(): Promise<void> {
    await this.#load();
  }

  async #load(): Promise<readonly ClusterChange[]> {
    const { paths, log } = this.#options;
    const manifests = await loadManifests(paths, { nodes: [this.#options.nodeName] });
    for (const problem of manifests.problems) {
      log[problem.severity === 'error' ? 'error' : 'warn'](formatProblem(problem));
    }
    this.#readAt = performance.now();
    return this.#store.replace(this.#placed(manifests));
  }

  #placed({ snapshot }: LoadedManifests): ClusterSnapshot {
    const { nodeName } = this.#options;
    return { ...snapshot, pods: snapshot.pods.map((pod) => ({ ...pod, nodeName: pod.nodeName ?? nodeName })) };
  }
}
