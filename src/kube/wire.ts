/**
 * The API server's answers, and the queries for them
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/: watches, bookmarks, chunked and
 * streaming lists).
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
 * Parses one line of a watch.
 * @throws ApiError `malformed`, or the error of an ERROR event's Status object
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
  /** Token for the next page; empty on the last one. */
  readonly continueToken: string;
}

/**
 * Reads the version and the continue token of a list from what surrounds its items.
 * @param kind of the items. An answer of another kind must not pass for an empty list
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

/** Returns the path of a page of at most `limit` objects; without a limit, of all objects. */
export function listPath(path: string, limit: number | undefined, continueToken: string): string {
  const query = new URLSearchParams();
  if (limit !== undefined) query.set('limit', String(limit));
  if (continueToken !== '') query.set('continue', continueToken);
  return query.size === 0 ? path : `${path}?${query}`;
}

/** @param seconds after which the server shall end the watch */
export function watchPath(path: string, resourceVersion: string, seconds: number): string {
  const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion, timeoutSeconds: String(seconds) };
  return `${path}?${new URLSearchParams(query)}`;
}

/**
 * Returns the path of a streaming list. The server sends all objects as ADDED events, from a state
 * at least as new as the request, then the bookmark that ends them, then further changes.
 */
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
