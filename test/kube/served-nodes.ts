/**
 * Single nodes, as the test API server returns and patches them. Removing a taint needs no list and
 * no watch.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { isDeepStrictEqual } from 'node:util';
import { sendStatus } from './served-lists.ts';

export interface ServedTaint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

/** A JSON patch (RFC 6902). Only these operations on this path are supported. */
type Operation = { readonly path: string } & (
  | { readonly op: 'test' | 'replace'; readonly value: unknown }
  | { readonly op: 'remove' }
);

const PATH = /^\/api\/v1\/nodes\/([^/]+)$/;
const TAINTS = '/spec/taints';

export class ServedNodes {
  readonly #taints = new Map<string, readonly ServedTaint[]>();
  #isAllowed = true;
  #beforePatch: readonly ServedTaint[][] = [];
  /** Number of patches so far, including refused ones. */
  patches = 0;

  set(name: string, taints: readonly ServedTaint[]): void {
    this.#taints.set(name, taints);
  }

  taints(name: string): readonly ServedTaint[] | undefined {
    return this.#taints.get(name);
  }

  /** Sets whether clients may get and patch nodes. */
  allow(isAllowed: boolean): void {
    this.#isAllowed = isAllowed;
  }

  /** Sets these taints just before each of the next patches, as another client would. */
  changeBeforePatch(...taints: ServedTaint[][]): void {
    this.#beforePatch = taints;
  }

  /** Returns whether the request was about a node, and so was answered. */
  answer(request: IncomingMessage, response: ServerResponse, isKnown: boolean): boolean {
    const name = PATH.exec(new URL(request.url ?? '/', 'http://server').pathname)?.[1];
    if (name === undefined) return false;
    if (request.method === 'PATCH') this.patches++;
    if (!isKnown) sendStatus(response, { status: 401, reason: 'Unauthorized' });
    else if (!this.#isAllowed) sendStatus(response, { status: 403, reason: 'Forbidden' });
    else if (!this.#taints.has(name)) sendStatus(response, { status: 404, reason: 'NotFound' });
    else if (request.method === 'GET') this.#send(response, name);
    else if (request.method === 'PATCH') void this.#patch(name, request, response);
    else sendStatus(response, { status: 405, reason: 'MethodNotAllowed' });
    return true;
  }

  async #patch(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const operations = JSON.parse(await text(request)) as readonly Operation[];
    const [next, ...later] = this.#beforePatch;
    this.#beforePatch = later;
    if (next !== undefined) this.set(name, next);
    let taints: unknown = this.#taints.get(name);
    const isKnown = request.headers['content-type'] === 'application/json-patch+json';
    for (const operation of operations) {
      const holds = operation.op !== 'test' || isDeepStrictEqual(operation.value, taints);
      if (!isKnown || operation.path !== TAINTS || !holds)
        return sendStatus(response, { status: 422, reason: 'Invalid' });
      if (operation.op === 'replace') taints = operation.value;
      if (operation.op === 'remove') taints = [];
    }
    this.set(name, taints as readonly ServedTaint[]);
    this.#send(response, name);
  }

  /** Like the real one, it leaves out an empty list. */
  #send(response: ServerResponse, name: string): void {
    const taints = this.#taints.get(name) ?? [];
    const node = { kind: 'Node', apiVersion: 'v1', metadata: { name }, spec: taints.length > 0 ? { taints } : {} };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(node));
  }
}
