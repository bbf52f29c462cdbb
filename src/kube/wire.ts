/**
 * What the API server's answers look like
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/: watches, bookmarks, chunked and streaming lists), and the queries for them.
 */
import { ApiError, errorOfStatus } from './api-error.ts';

/** The annotation of the bookmark that ends the initial events of a streaming list. */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

export type WatchEvent =
  | { readonly type: 'set' | 'delete'; readonly object: unknown; readonly resourceVersion: string }
  | { readonly type: 'bookmark'; readonly resourceVersion: string; readonly endsInitialEvents: boolean }
  /** A type that this version of podfence does not know. */
  | { readonly type: 'unknown'; readonly name: string };

/**
 * One line of a watch.
 * @throws ApiError `malformed`, or what the Status object of an ERROR event says
 */
export function parseWatchEvent(line: Buffer): WatchEvent {
  const { type, object } = toMap(parseJson(line));
  if (type === 'ERROR') throw errorOfStatus(Number(toMap(object).code) || 500, object);
  if (typeof type !== 'string') throw new ApiError('malformed', 'a line of the watch is not an event');
  const metadata = toMap(toMap(object).metadata);
  const { resourceVersion } = metadata;
  if (typeof resourceVersion !== 'string' || resourceVersion === '') {
    throw new ApiError('malformed', `an event of type ${type.slice(0, 20)} has no resourceVersion`);
  }
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return { type: 'set', object, resourceVersion };
    case 'DELETED':
      return { type: 'delete', object, resourceVersion };
    case 'BOOKMARK': {
      const endsInitialEvents = toMap(metadata.annotations)[INITIAL_EVENTS_END] === 'true';
      return { type: 'bookmark', resourceVersion, endsInitialEvents };
    }
    default:
      return { type: 'unknown', name: type.slice(0, 20) };
  }
}

export interface ListEnd {
  readonly resourceVersion: string;
  /** Asks for the next page; empty on the last one. */
  readonly continueToken: string;
}

/**
 * What surrounds the items of a list.
 * @param kind of the items: anything but a list of them is no answer, least of all an empty list
 * @throws ApiError `malformed`
 */
export function readListEnd(envelope: unknown, kind: string): ListEnd {
  const { kind: listKind, metadata } = toMap(envelope);
  const { resourceVersion, continue: continueToken } = toMap(metadata);
  if (listKind !== `${kind}List` || typeof resourceVersion !== 'string' || resourceVersion === '') {
    throw new ApiError('malformed', `the answer is not a ${kind}List`);
  }
  return { resourceVersion, continueToken: typeof continueToken === 'string' ? continueToken : '' };
}

/** @throws ApiError `malformed` */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    throw new ApiError('malformed', `the answer is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

function toMap(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** A page of at most `limit` objects; without a limit all of them. */
export function listPath(path: string, limit: number | undefined, continueToken: string): string {
  const query = new URLSearchParams();
  if (limit !== undefined) query.set('limit', String(limit));
  if (continueToken !== '') query.set('continue', continueToken);
  return query.size === 0 ? path : `${path}?${query}`;
}

/** @param seconds after which the server is to end the watch */
export function watchPath(path: string, resourceVersion: string, seconds: number): string {
  const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion, timeoutSeconds: String(seconds) };
  return `${path}?${new URLSearchParams(query)}`;
}

/** All objects as ADDED events, from a state as new as now, then the bookmark that ends them, then the watch goes on. */
export function streamingListPath(path: string, seconds: number): string {
  const query = {
    watch: 'true',
    allowWatchBookmarks: 'true',
    sendInitialEvents: 'true',
    resourceVersionMatch: 'NotOlderThan',
    timeoutSeconds: String(seconds),
  };
  return `${path}?${new URLSearchParams(query)}`;
}
