/**
 * The server's side of one watch: events as JSON lines, and every way in which a stream can break.
 */
import type { ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type { ApiObject, HistoryEvent, Kind } from './object-history.ts';
import { API_VERSIONS } from './served-lists.ts';

export class ServedWatch {
  readonly kind: Kind;
  readonly #response: ServerResponse;
  #frozen = false;
  #pieceSize = Number.POSITIVE_INFINITY;
  /** Resolves when what is sent in pieces is sent. */
  #trickling: Promise<void> = Promise.resolve();
  /** Resumes a send that waits for the client to read. */
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
   * Sends objects as ADDED events, no faster than the client reads. Later events follow them.
   * @param endVersion version of the closing bookmark; undefined: no bookmark
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

  /** @param endsInitialEvents whether it closes the initial events of a streaming list */
  bookmark(version: number, endsInitialEvents = false): void {
    const annotations = endsInitialEvents ? { 'k8s.io/initial-events-end': 'true' } : undefined;
    const metadata = { resourceVersion: String(version), creationTimestamp: null, annotations };
    this.line({ type: 'BOOKMARK', object: { kind: this.kind, apiVersion: API_VERSIONS[this.kind], metadata } });
  }

  /** Sends an ERROR event with a Status object. */
  error(code: number, reason: string, details?: object): void {
    const object = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: reason, reason, code, details };
    this.line({ type: 'ERROR', object });
  }

  line(value: unknown): void {
    if (this.#waiting === undefined) this.raw(toLine(value));
    else this.#waiting.push(toLine(value));
  }

  /** Sends any bytes, which need be neither a line nor JSON. */
  raw(bytes: string | Uint8Array): void {
    if (this.#frozen) return;
    if (this.#pieceSize === Number.POSITIVE_INFINITY) this.#response.write(bytes);
    else this.#trickling = this.#trickling.then(() => this.#sendPieces(Buffer.from(bytes)));
  }

  /** Sends everything from now on in pieces of this many bytes, one per turn of the event loop. */
  trickle(pieceSize: number): void {
    this.#pieceSize = pieceSize;
  }

  /** Sends nothing from now on and keeps the connection open, like a half-open connection. */
  freeze(): void {
    this.#frozen = true;
  }

  /** Ends the stream properly, as a server does after `timeoutSeconds`. */
  end(): void {
    this.#response.end();
  }

  /** Cuts the connection. */
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
