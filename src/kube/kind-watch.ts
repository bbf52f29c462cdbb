/** Keeps what is known of one collection up to date: list, watch, and whatever goes wrong between. */
import type { Logger } from 'pino';
import type { KindStatus } from '../agent-state/watch-status.ts';
import type { ClusterRecord } from '../cluster/records.ts';
import type { ApiConnection } from './api-connection.ts';
import { ApiError, type Failure, toApiError } from './api-error.ts';
import { type Clock, wait } from './clock.ts';
import type { KnownRecords, RecordList } from './known-records.ts';
import { LineScanner } from './line-scanner.ts';
import { ListScanner } from './list-scanner.ts';
import type { Resource } from './resources.ts';
import { Retries } from './retries.ts';
import { Turns } from './turns.ts';
import { UnreadableObjects } from './unreadable-objects.ts';
import {
  listPath,
  parseJson,
  parseWatchEvent,
  readListEnd,
  streamingListPath,
  type WatchEvent,
  watchPath,
} from './wire.ts';

const PAGE_SIZE = 500;
/** The longest object in bytes. etcd holds 1.5 MiB, the API server takes 3 MiB. */
const MAX_OBJECT = 8 * 1024 * 1024;
/** A watch is asked to end after these seconds, so that those of many agents spread over the API servers (client-go: the same). */
const SHORTEST_WATCH = 300;
const LONGEST_WATCH = 600;
/** Milliseconds until an answer begins: the API server ends requests that are no watches after 60 s by itself. */
const ANSWER_LIMIT = 75_000;
/** The same for a watch. It has nothing to read before it is answered; under load it queues for 15 s, then it is refused (KEP-1040). */
const WATCH_ANSWER_LIMIT = 25_000;
/**
 * A watch that was silent for so many ms is asked for anew from where it was. Silence tells nothing by itself: a bookmark is due every
 * minute, but the API server leaves it out where the version is still the one that the watch began with (apiserver, cache_watcher.go,
 * `process`), and where nothing of a kind changes that version only moves if etcd reports progress: every 10 minutes by default.
 * Only the server's answer tells that the connection was not dead. With the limit above, two minutes at most.
 */
const SHORTEST_QUIET = 70_000;
const LONGEST_QUIET = 90_000;
/** Milliseconds that a list may pause. */
const LIST_IDLE_LIMIT = 60_000;
/** A server that cannot stream lists is asked again after so many ms: it may have been upgraded. */
const ASK_FOR_STREAM_AGAIN = 60 * 60_000;

export interface KindWatchOptions<R extends ClusterRecord> {
  readonly resource: Resource<R>;
  readonly records: KnownRecords<R>;
  readonly connection: ApiConnection;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** Called when records may have changed, and when the first list is complete. */
  readonly onProgress: () => void;
}

/** A list that is being read page by page. It goes on where it was when a page fails. */
interface PagedList<R extends ClusterRecord> {
  readonly list: RecordList<R>;
  /** A list whose continue token expired is read in one piece the next time: it takes longer than the server remembers. */
  readonly limit: number | undefined;
  continueToken: string;
}

export class KindWatch<R extends ClusterRecord> {
  readonly #options: KindWatchOptions<R>;
  readonly #retries: Retries;
  readonly #unreadable: UnreadableObjects;
  /** Undefined when the collection must be listed. */
  #watchFrom: string | undefined;
  #paged: PagedList<R> | undefined;
  #limit: number | undefined = PAGE_SIZE;
  /** A streaming list that has not ended yet. */
  #streamed: RecordList<R> | undefined;
  #streamsFrom = Number.NEGATIVE_INFINITY;
  #lists = 0;
  #lastVersion: string | undefined;
  #lastHeardAt: number | undefined;

  constructor(options: KindWatchOptions<R>) {
    this.#options = options;
    const { clock, random, log, resource } = options;
    this.#retries = new Retries({ clock, random, log, kind: resource.kind });
    this.#unreadable = new UnreadableObjects(resource.kind, log, clock);
  }

  get synced(): boolean {
    return this.#lists > 0;
  }

  status(): KindStatus<Failure> {
    const { resource, records, clock } = this.#options;
    return {
      kind: resource.kind,
      synced: this.synced,
      watching: this.#retries.isWatching,
      resourceVersion: this.#lastVersion,
      records: records.size,
      lastEventAge: this.#lastHeardAt === undefined ? undefined : clock.now() - this.#lastHeardAt,
      lists: this.#lists,
      restarts: this.#retries.counts(),
      unreadable: this.#unreadable.count,
      lastError: this.#retries.lastError(),
    };
  }

  /** Lists and watches until the signal is aborted; nothing that happens ends it otherwise. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const streams = this.#options.clock.now() >= this.#streamsFrom;
        if (this.#watchFrom === undefined && !streams) await this.#list(signal);
        await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return this.#retries.stop();
        await wait(this.#options.clock, this.#recover(toApiError(error)), signal);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { connection, resource, records } = this.#options;
    this.#paged ??= { list: records.beginList(), limit: this.#limit, continueToken: '' };
    const paged = this.#paged;
    const limits = { signal, answerLimit: ANSWER_LIMIT, idleLimit: LIST_IDLE_LIMIT };
    const turns = new Turns();
    while (true) {
      const scanner = new ListScanner(MAX_OBJECT);
      const path = listPath(resource.path, paged.limit, paged.continueToken);
      for await (const chunk of connection.read(path, { ...limits, compressed: true })) {
        await turns.step();
        for (const item of scanner.push(chunk)) {
          const record = this.#project(parseJson(item));
          if (record !== undefined) paged.list.set(record);
        }
      }
      const end = readListEnd(scanner.end(), resource.kind);
      this.#retries.pageRead();
      paged.continueToken = end.continueToken;
      if (end.continueToken === '') {
        this.#paged = undefined;
        this.#limit = PAGE_SIZE;
        return this.#takeList(paged.list, end.resourceVersion);
      }
    }
  }

  /** Watches from where the knowledge ends; without any, the watch begins with a streaming list. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { connection, records, random, resource } = this.#options;
    const seconds = Math.round(SHORTEST_WATCH + random() * (LONGEST_WATCH - SHORTEST_WATCH));
    this.#streamed = this.#watchFrom === undefined ? records.beginList() : undefined;
    const path =
      this.#watchFrom === undefined
        ? streamingListPath(resource.path, seconds)
        : watchPath(resource.path, this.#watchFrom, seconds);
    const onAnswer = () => {
      if (this.#streamed !== undefined) return;
      this.#lastHeardAt = this.#options.clock.now();
      this.#retries.watchBegan();
    };
    const limits = {
      signal,
      answerLimit: this.#streamed === undefined ? WATCH_ANSWER_LIMIT : ANSWER_LIMIT,
      idleLimit: Math.round(SHORTEST_QUIET + random() * (LONGEST_QUIET - SHORTEST_QUIET)),
    };
    const lines = new LineScanner(MAX_OBJECT);
    const turns = new Turns();
    for await (const chunk of connection.read(path, { ...limits, onAnswer })) {
      // Between chunks, not between events: what came together stays together.
      await turns.step();
      for (const line of lines.push(chunk)) this.#takeEvent(parseWatchEvent(line));
    }
    lines.end();
    throw new ApiError('ended', 'the server ended the watch');
  }

  #takeEvent(event: WatchEvent): void {
    const { records, clock, log, resource, onProgress } = this.#options;
    if (event.type === 'unknown') {
      log.warn({ kind: resource.kind, event: event.name }, 'an event of an unknown type is left out');
      return;
    }
    const target = this.#streamed ?? records;
    if (event.type === 'bookmark') {
      if (this.#streamed !== undefined) {
        // Before the end of its initial events a server that can stream lists sends no other bookmark.
        if (!event.endsInitialEvents) throw new ApiError('rejected', 'the server takes a streaming list for a watch');
        this.#takeList(this.#streamed, event.resourceVersion);
        this.#retries.watchBegan();
        return;
      }
    } else {
      const record = this.#project(event.object);
      if (record !== undefined) {
        if (event.type === 'delete') target.delete(record);
        else target.set(record);
      }
    }
    if (this.#streamed !== undefined) return;
    this.#watchFrom = event.resourceVersion;
    this.#lastVersion = event.resourceVersion;
    this.#lastHeardAt = clock.now();
    if (records.hasDifferences) onProgress();
  }

  #takeList(list: RecordList<R>, resourceVersion: string): void {
    const { records, clock, log, resource, onProgress } = this.#options;
    records.replace(list);
    this.#streamed = undefined;
    this.#watchFrom = resourceVersion;
    this.#lastVersion = resourceVersion;
    this.#lastHeardAt = clock.now();
    this.#lists++;
    log.info({ kind: resource.kind, records: records.size, resourceVersion }, 'list complete');
    onProgress();
  }

  #project(object: unknown): R | undefined {
    const { record, problems } = this.#options.resource.project(object);
    if (problems.length > 0 || record === undefined) this.#unreadable.report(record, problems);
    return record;
  }

  /** Decides from where to go on after a failure; gives back how many ms to wait before. */
  #recover(error: ApiError): number {
    const { connection, clock, log, resource } = this.#options;
    if (error.code === 'inactive' && this.#retries.isWatching) {
      return this.#retries.next(new ApiError('quiet', error.message), 'watch');
    }
    const during = this.#paged !== undefined ? 'list' : 'watch';
    const wasStreaming = this.#streamed !== undefined;
    this.#streamed = undefined;
    if (wasStreaming && !KEEPS_STREAMING.has(error.code)) {
      this.#streamsFrom = clock.now() + ASK_FOR_STREAM_AGAIN;
      if (error.code === 'rejected') {
        log.info({ kind: resource.kind, reason: error.message }, 'the server does not stream lists; reading pages');
        return this.#retries.watchEnded();
      }
    }
    if (error.code === 'unauthorized' || error.code === 'connection') connection.forgetCredentials();
    if (error.code === 'expired' || this.#retries.isStuck(error, during)) {
      this.#watchFrom = undefined;
      if (this.#paged !== undefined && this.#paged.continueToken !== '') this.#limit = undefined;
      this.#paged = undefined;
    }
    return this.#retries.next(error, during);
  }
}

/** Failures that do not speak against streaming lists. */
const KEEPS_STREAMING: ReadonlySet<string> = new Set(['connection', 'unauthorized', 'forbidden', 'overloaded']);
