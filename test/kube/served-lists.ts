/** How the test API server answers a list: in pages of one version, linked by continue tokens. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { ApiObject, Kind, ObjectHistory } from './object-history.ts';

/** A parsed request. */
export interface Asked {
  readonly kind: Kind;
  readonly query: Readonly<Record<string, string>>;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export const API_VERSIONS: Readonly<Record<Kind, string>> = {
  Namespace: 'v1',
  Pod: 'v1',
  NetworkPolicy: 'networking.k8s.io/v1',
  Service: 'v1',
  Node: 'v1',
};

export class ServedLists {
  readonly #history: ObjectHistory;
  readonly #compressFrom: number;
  /** The lists that further pages are cut from, by kind and version. */
  readonly #snapshots = new Map<string, readonly ApiObject[]>();

  /** @param compressFrom bytes from which an answer is compressed, if the client accepts that */
  constructor(history: ObjectHistory, compressFrom = Number.POSITIVE_INFINITY) {
    this.#history = history;
    this.#compressFrom = compressFrom;
  }

  /** Expires every continue token. */
  forget(): void {
    this.#snapshots.clear();
  }

  /** @param half whether the answer breaks off or pauses in the middle */
  answer({ kind, query, request, response }: Asked, half?: 'half' | 'pause'): void {
    const isFirst = query.continue === undefined;
    const { version, from } = isFirst ? { version: this.#history.version, from: 0 } : JSON.parse(query.continue ?? '');
    const objects = isFirst ? this.#history.objects(kind) : this.#snapshots.get(`${kind} ${version}`);
    if (objects === undefined) {
      sendStatus(response, { status: 410, reason: 'Expired' });
      return;
    }
    const end = query.limit === undefined ? objects.length : from + Number(query.limit);
    const metadata: Record<string, unknown> = { resourceVersion: String(version) };
    if (end < objects.length) {
      this.#snapshots.set(`${kind} ${version}`, objects);
      metadata.continue = JSON.stringify({ version, from: end });
      metadata.remainingItemCount = objects.length - end;
    }
    // Like the real one, it leaves out kind and apiVersion of the items.
    const items = objects.slice(from, end).map(({ kind: _, apiVersion: __, ...item }) => item);
    const text = JSON.stringify({ kind: `${kind}List`, apiVersion: API_VERSIONS[kind], metadata, items });
    response.setHeader('content-type', 'application/json');
    let body = Buffer.from(text);
    if (request.headers['accept-encoding'] === 'gzip' && body.length >= this.#compressFrom) {
      body = gzipSync(body, { level: 1 });
      response.setHeader('content-encoding', 'gzip');
    }
    if (half === undefined) {
      response.end(body);
      return;
    }
    response.write(body.subarray(0, body.length / 2), () => {
      if (half === 'half') response.socket?.destroy();
    });
  }
}

export interface StatusAnswer {
  readonly status: number;
  readonly reason?: string;
  /** Seconds, for the header. */
  readonly retryAfter?: number;
  readonly details?: object;
}

/** Answers with a Status object. */
export function sendStatus(response: ServerResponse, answer: StatusAnswer): void {
  const { status: code, reason = 'Injected', retryAfter, details } = answer;
  const body = {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    message: `${reason}, says the test`,
    reason,
    code,
  };
  if (retryAfter !== undefined) response.setHeader('retry-after', String(retryAfter));
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ ...body, details }));
}
