/** Reads a collection once, for commands that ask about a cluster's present state. */
import type { ApiConnection } from './api-connection.ts';
import { ListScanner } from './list-scanner.ts';
import { listPath, parseJson, readListEnd } from './wire.ts';

const PAGE_SIZE = 500;
/** The longest object in bytes, as in kind-watch.ts. */
const MAX_OBJECT = 8 * 1024 * 1024;
/** Milliseconds until an answer must begin, and that it may pause: short, because a user waits. */
const LIMITS = { answerLimit: 20_000, idleLimit: 20_000 };

/**
 * Yields every object of a collection, page by page.
 * @param path of the collection in all namespaces
 * @param kind of its objects
 * @throws ApiError; whatever socket, TLS or credentials throw
 */
export async function* listObjects(
  connection: ApiConnection,
  path: string,
  kind: string,
  signal: AbortSignal,
): AsyncGenerator<unknown, void, undefined> {
  let continueToken = '';
  do {
    const scanner = new ListScanner(MAX_OBJECT);
    const page = connection.read(listPath(path, PAGE_SIZE, continueToken), { ...LIMITS, signal, compressed: true });
    for await (const chunk of page) for (const item of scanner.push(chunk)) yield parseJson(item);
    ({ continueToken } = readListEnd(scanner.end(), kind));
  } while (continueToken !== '');
}
