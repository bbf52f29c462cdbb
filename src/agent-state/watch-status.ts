/** What a watch of the cluster tells about itself. */
import type { ClusterRecord } from '../cluster/records.ts';

/** @typeParam Failure why a list or watch had to be begun again */
export interface KindStatus<Failure extends string = string> {
  readonly kind: ClusterRecord['kind'];
  /** The first list is complete. It stays true when the server is gone later. */
  readonly synced: boolean;
  /** A watch is open, as far as this side knows. */
  readonly watching: boolean;
  /** Version of the collection that is known; undefined before the first list is complete. */
  readonly resourceVersion: string | undefined;
  readonly records: number;
  /** Milliseconds since the server was last heard of this kind: an event, a bookmark, a complete list, or that it took a watch up. */
  readonly lastEventAge: number | undefined;
  /** Complete lists so far; the first one, and one for every time that the history had expired. */
  readonly lists: number;
  /** How often a list or watch had to be begun again, by reason. Every reason is there from the start. */
  readonly restarts: Readonly<Record<Failure, number>>;
  /** Objects that came and could not be read in full, counted once each time they came. */
  readonly unreadable: number;
  /** The last failure; it is kept when all is well again. */
  readonly lastError: { readonly code: Failure; readonly message: string; readonly age: number } | undefined;
}

export interface ClusterWatchStatus<Failure extends string = string> {
  /** Address of the API server. */
  readonly server: string;
  /** The first lists of all kinds are complete: there is a snapshot. */
  readonly synced: boolean;
  /** Age of the oldest knowledge in ms: the greatest `lastEventAge` of all kinds. Undefined until synced. */
  readonly age: number | undefined;
  readonly kinds: readonly KindStatus<Failure>[];
}
