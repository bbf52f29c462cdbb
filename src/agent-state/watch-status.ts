/** Status of the watches on the cluster. */
import type { WatchedRecord } from '../cluster/records.ts';

/** @typeParam Failure reasons for which a list or watch is started again */
export interface KindStatus<Failure extends string = string> {
  readonly kind: WatchedRecord['kind'];
  /** Whether the first list is complete. It stays true if the server is lost later. */
  readonly synced: boolean;
  /** Whether a watch is open, as far as this side knows. */
  readonly watching: boolean;
  /** The collection's last known version; undefined before the first list is complete. */
  readonly resourceVersion: string | undefined;
  readonly records: number;
  /**
   * Milliseconds since the server last said something about this kind: an event, a bookmark, a
   * complete list, or the start of a watch.
   */
  readonly lastEventAge: number | undefined;
  /** Complete lists so far: the first, and one each time the server's history had expired. */
  readonly lists: number;
  /** How often a list or watch began again, by reason. */
  readonly restarts: Readonly<Record<Failure, number>>;
  /** Objects that could not be read in full, counted each time they arrive. */
  readonly unreadable: number;
  /** The last failure. It stays after the watch recovers. */
  readonly lastError: { readonly code: Failure; readonly message: string; readonly age: number } | undefined;
}

export interface ClusterWatchStatus<Failure extends string = string> {
  /** Address of the API server. */
  readonly server: string;
  /** Whether the first lists of all kinds are complete: there is a snapshot. */
  readonly synced: boolean;
  /** Greatest `lastEventAge` of all kinds, in ms; undefined until synced. */
  readonly age: number | undefined;
  readonly kinds: readonly KindStatus<Failure>[];
}
