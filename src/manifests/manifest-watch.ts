/** Manifests as a live source: read at the start, and again when a file changes. */
import type { Logger } from 'pino';
import { type ClusterChange, type ClusterSnapshot, ClusterStore, type OnChanges } from '../cluster/store.ts';
import { ManifestReadings } from './manifest-readings.ts';
import { formatProblem } from './problems.ts';
import type { ReadManifests } from './reading-messages.ts';
import { ReadingThread } from './reading-thread.ts';

export interface ManifestWatchOptions {
  readonly paths: readonly string[];
  /** The node for pods that name none. */
  readonly nodeName: string;
  readonly log: Logger;
  readonly onChanges: OnChanges;
}

/**
 * Follows files and folders until it is stopped. While something known cannot be read any more, the
 * last known state stays in force, and the log says so.
 */
export class ManifestWatch {
  readonly #options: ManifestWatchOptions;
  readonly #store = new ClusterStore();
  readonly #thread = new ReadingThread();
  readonly #firstRead = Promise.withResolvers<void>();
  #readings: ManifestReadings<ReadManifests> | undefined;
  #starting: Promise<void> | undefined;
  #readAt = 0;
  #stopped = false;

  constructor(options: ManifestWatchOptions) {
    this.#options = options;
    // A caller that stops the watch may not await `synced`: its rejection must not end the process.
    this.#firstRead.promise.catch(() => undefined);
  }

  /** Resolves after the first reading; rejects if that fails or a path cannot be watched. */
  get synced(): Promise<void> {
    return this.#firstRead.promise;
  }

  start(): void {
    this.#starting = this.#start().then(this.#firstRead.resolve, this.#firstRead.reject);
  }

  /** Returns all records. Changes of before that still come change nothing. */
  baseline(): ClusterSnapshot {
    return this.snapshot();
  }

  snapshot(): ClusterSnapshot {
    return this.#store.snapshot();
  }

  /** Milliseconds since the last accepted reading. */
  get age(): number {
    return performance.now() - this.#readAt;
  }

  async stop(): Promise<void> {
    this.#firstRead.reject(new Error('stopped before the manifests were read'));
    this.#stopped = true;
    // This makes a reading under way fail.
    await this.#thread.stop();
    await this.#starting;
    await this.#readings?.stop();
    await this.#thread.stop();
  }

  async #start(): Promise<void> {
    const { paths, log, onChanges } = this.#options;
    const readings = new ManifestReadings({
      paths,
      read: () => this.#read(),
      onRefused: (error) =>
        this.#stopped ||
        log.error(
          error === undefined ? {} : { err: error },
          'the last known state stays in force until the manifests can be read',
        ),
    });
    this.#readings = readings;
    this.#take(await readings.first());
    readings.follow((manifests, receivedAt) => {
      const changes = this.#take(manifests);
      if (changes.length > 0) onChanges(() => changes, receivedAt);
    });
  }

  async #read(): Promise<ReadManifests> {
    const { paths, nodeName, log } = this.#options;
    const manifests = await this.#thread.read(paths, { nodes: [nodeName] });
    for (const problem of manifests.problems) {
      log[problem.severity === 'error' ? 'error' : 'warn'](formatProblem(problem));
    }
    return manifests;
  }

  #take({ snapshot }: ReadManifests): readonly ClusterChange[] {
    const { nodeName } = this.#options;
    this.#readAt = performance.now();
    return this.#store.replace({
      ...snapshot,
      pods: snapshot.pods.map((pod) => ({ ...pod, nodeName: pod.nodeName ?? nodeName })),
    });
  }
}
