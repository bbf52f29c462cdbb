/** Keeps the records of one collection up to date: lists, watches, and recovers from failures. */
import type { Logger } from 'pino';
import type { KindStatus } from '../agent-state/watch-status.ts';
import type { WatchedRecord } from '../cluster/records.ts';
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
/** The longest object in bytes. etcd stores up to 1.5 MiB, the API server accepts 3 MiB. */
const MAX_OBJECT = 8 * 1024 * 1024;
/**
 * The server ends a watch after a random number of seconds between these two, so that the watches
 * of many agents spread over the API servers (client-go: the same).
 */
const SHORTEST_WATCH = 300;
const LONGEST_WATCH = 600;
/** Milliseconds until an answer must begin: the API server ends non-watch requests after 60 s. */
const ANSWER_LIMIT = 75_000;
/**
 * The same for a watch, which the server answers before it reads anything. Under load the server
 * queues the request for 15 s and then refuses it (KEP-1040).
 */
const WATCH_ANSWER_LIMIT = 25_000;
/**
 * A watch that is silent for a random time between these two, in ms, begins again from its last
 * version. Silence alone proves nothing. A bookmark is due every minute, but the API server omits
 * it while the version is still the one that the watch began with (apiserver, cache_watcher.go,
 * `process`). Where nothing of a kind changes, that version moves only when etcd reports progress:
 * every 10 minutes by default. Only an answer to a new request proves that the connection is alive.
 * With WATCH_ANSWER_LIMIT, a dead connection is found within two minutes.
 */
const SHORTEST_QUIET = 70_000;
const LONGEST_QUIET = 90_000;
/** Milliseconds that may pass between two chunks of a list. */
const LIST_IDLE_LIMIT = 60_000;
/** Milliseconds until the next try to stream lists after a refusal: an upgrade may allow it. */
const ASK_FOR_STREAM_AGAIN = 60 * 60_000;

export interface KindWatchOptions<R extends WatchedRecord> {
  readonly resource: Resource<R>;
  readonly records: KnownRecords<R>;
  readonly connection: ApiConnection;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** Called when records may have changed, and when the first list is complete. */
  readonly onProgress: () => void;
  /** What the log says, once, if the server forbids to watch this kind. @default it is a failure */
  readonly withoutRight?: string;
}

/** A list that is being read page by page. After a failed page it continues from that page. */
interface PagedList<R extends WatchedRecord> {
  readonly list: RecordList<R>;
  /** Objects on a page. Undefined after an expired continue token: the next list is one page. */
  readonly limit: number | undefined;
  continueToken: string;
}

export class KindWatch<R extends WatchedRecord> {
  readonly #options: KindWatchOptions<R>;
  readonly #retries: Retries;
  readonly #unreadable: UnreadableObjects;
  /** The version from which to watch; undefined when the collection must be listed. */
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
    const { clock, random, log, resource, withoutRight } = options;
    this.#retries = new Retries({ clock, random, log, kind: resource.kind, withoutRight });
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

  /** Lists and watches until the signal is aborted. No failure ends it. */
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

  /** Watches from the last known version; without one, the watch begins with a streaming list. */
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
      // Yield between chunks, not between events: events that came together stay together.
      await turns.step();
      for (const line of lines.push(chunk)) this.#takeEvent(parseWatchEvent(line));
    }
    lines.end();
    throw new ApiError('ended', 'the server ended the watch');
  }

  #takeEvent(event: WatchEvent): void {
    const { records, clock, log, resource, onProgress } = this.#options;
    if (event.type === 'unknown') {
      log.warn({ kind: resource.kind, event: event.name }, 'ignored a watch event of an unknown type');
      return;
    }
    const target = this.#streamed ?? records;
    if (event.type === 'bookmark') {
      if (this.#streamed !== undefined) {
        // A server that can stream lists sends no other bookmark before the initial events end.
        if (!event.endsInitialEvents)
          throw new ApiError('rejected', 'the server treats a streaming list as a plain watch');
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

  /** Decides where to continue after a failure. Returns the ms to wait before that. */
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

/** Failures after which the next list is streamed again: they do not come from streaming. */
const KEEPS_STREAMING: ReadonlySet<string> = new Set(['connection', 'unauthorized', 'forbidden', 'overloaded']);
