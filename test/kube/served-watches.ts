/** How the test API server answers a watch, with or without a list at its beginning. */
import type { Kind, ObjectHistory } from './object-history.ts';
import { type Asked, sendStatus } from './served-lists.ts';
import { ServedWatch } from './served-watch.ts';

/**
 * Served; refused with 422, as with the feature off; or taken for a watch without a version, as by
 * a server that does not know it.
 */
export type StreamingLists = 'served' | 'refused' | 'ignored';

export class ServedWatches {
  readonly #history: ObjectHistory;
  readonly #goneAs: 'status' | 'event';
  readonly #open = new Set<ServedWatch>();
  streamingLists: StreamingLists;

  constructor(history: ObjectHistory, streamingLists: StreamingLists, goneAs: 'status' | 'event') {
    this.#history = history;
    this.streamingLists = streamingLists;
    this.#goneAs = goneAs;
  }

  open(kind?: Kind): ServedWatch[] {
    return [...this.#open].filter((watch) => kind === undefined || watch.kind === kind);
  }

  answer({ kind, query, response }: Asked): void {
    const history = this.#history;
    const streams = query.sendInitialEvents === 'true';
    const from = query.resourceVersion === undefined ? undefined : Number(query.resourceVersion);
    const missed = from === undefined ? undefined : history.since(from, kind);
    const isGone = from !== undefined && missed === undefined;
    if (streams && this.streamingLists === 'refused') {
      sendStatus(response, { status: 422, reason: 'Invalid' });
    } else if (from !== undefined && from > history.version) {
      const details = { causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }] };
      sendStatus(response, { status: 504, reason: 'Timeout', details, retryAfter: 1 });
    } else if (isGone && this.#goneAs === 'status') {
      sendStatus(response, { status: 410, reason: 'Expired' });
    } else {
      response.setHeader('content-type', 'application/json');
      response.flushHeaders();
      const watch = new ServedWatch(kind, response);
      if (isGone) {
        watch.error(410, 'Expired');
        watch.end();
        return;
      }
      this.#keep(watch, Number(query.timeoutSeconds ?? 1800));
      for (const event of missed ?? []) watch.event(event.type, event.object);
      const end = streams && this.streamingLists === 'served' ? history.version : undefined;
      if (from === undefined) watch.initialEvents(history.objects(kind), end);
    }
  }

  #keep(watch: ServedWatch, seconds: number): void {
    this.#open.add(watch);
    const stopListening = this.#history.listen((event) => {
      if (event.object.kind === watch.kind) watch.event(event.type, event.object);
    });
    const timeout = setTimeout(() => watch.end(), seconds * 1000);
    watch.onClose(() => {
      clearTimeout(timeout);
      stopListening();
      this.#open.delete(watch);
    });
  }
}
