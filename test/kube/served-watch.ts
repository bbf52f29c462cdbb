/** The server's side of one watch: events as JSON lines, and every way in which a stream can break. */
import type { ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type { ApiObject, HistoryEvent, Kind } from './object-history.ts';
import { API_VERSIONS } from './served-lists.ts';

export class ServedWatch {
  readonly kind: Kind;
  readonly #response: ServerResponse;
  #frozen = false;
  #pieceSize = Number.POSITIVE_INFINITY;
  /** What is sent in pieces, so far. */
  #trickling: Promise<void> = Promise.resolve();
  /** Wakes whoever waits for the client to read. */
  #goOn: () => void = () => {};
  /** Lines that wait until the initial events are sent. */
  #waiting: string[] | undefined;

  constructor(kind: Kind, response: ServerResponse) {
    this.kind = kind;
    this.#response = response;
    response.on('drain', () => this.#goOn());
    response.once('close', () => this.#goOn());
  }

  onClose(callback: () => void): void {
    this.#response.once('close', callback);
  }

  /**
   * Sends objects as ADDED events, no faster than the client reads; what happens meanwhile comes after them.
   * @param endVersion of the bookmark that ends them; none where left out
   */
  async initialEvents(objects: readonly ApiObject[], endVersion?: number): Promise<void> {
    const waiting: string[] = [];
    this.#waiting = waiting;
    for (const object of objects) {
      if (this.#response.destroyed) return;
      if (!this.#response.write(toLine({ type: 'ADDED', object }))) {
        await new Promise<void>((resolve) => {
          this.#goOn = resolve;
        });
      }
    }
    this.#waiting = undefined;
    if (endVersion !== undefined) this.bookmark(endVersion, true);
    for (const line of waiting) this.raw(line);
  }

  event(type: HistoryEvent['type'], object: ApiObject): void {
    this.line({ type, object });
  }

  /** @param endsInitialEvents the bookmark that ends the initial events of a streaming list */
  bookmark(version: number, endsInitialEvents = false): void {
    const annotations = endsInitialEvents ? { 'k8s.io/initial-events-end': 'true' } : undefined;
    const metadata = { resourceVersion: String(version), creationTimestamp: null, annotations };
    this.line({ type: 'BOOKMARK', object: { kind: this.kind, apiVersion: API_VERSIONS[this.kind], metadata } });
  }

  /** An ERROR event with a Status object. */
  error(code: number, reason: string, details?: object): void {
    const object = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: reason, reason, code, details };
    this.line({ type: 'ERROR', object });
  }

  line(value: unknown): void {
    if (this.#waiting === undefined) this.raw(toLine(value));
    else this.#waiting.push(toLine(value));
  }

  /** Any bytes, which need be neither a line nor JSON. */
  raw(bytes: string | Uint8Array): void {
    if (this.#frozen) return;
    if (this.#pieceSize === Number.POSITIVE_INFINITY) this.#response.write(bytes);
    else this.#trickling = this.#trickling.then(() => this.#sendPieces(Buffer.from(bytes)));
  }

  /** From now on everything is sent in pieces of so many bytes, a turn of the event loop each. */
  trickle(pieceSize: number): void {
    this.#pieceSize = pieceSize;
  }

  /** From now on nothing is sent, and the connection stays open: what the other side sees of a half-open one. */
  freeze(): void {
    this.#frozen = true;
  }

  /** Ends the stream in order, as a server does when `timeoutSeconds` are over. */
  end(): void {
    this.#response.end();
  }

  /** Breaks the connection off. */
  cut(): void {
    this.#response.socket?.destroy();
  }

  async #sendPieces(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#response.destroyed; at += this.#pieceSize) {
      this.#response.write(bytes.subarray(at, at + this.#pieceSize));
      await setImmediate();
    }
  }
}

function toLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
