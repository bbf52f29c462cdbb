/**
 * What an API server stores: objects by kind, one version counter for all of them, and the events
 * since some version
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
 */

export type Kind = 'Namespace' | 'Pod' | 'NetworkPolicy' | 'Service' | 'Node';

/** A Kubernetes object as JSON. */
export interface ApiObject {
  readonly kind: Kind;
  readonly apiVersion: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

export interface HistoryEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly version: number;
  readonly object: ApiObject;
}

/** Number of events that are kept. Clients that ask for older ones have to list again. */
const MAX_EVENTS = 100_000;

export class ObjectHistory {
  readonly #objects = new Map<Kind, Map<string, ApiObject>>();
  readonly #listeners = new Set<(event: HistoryEvent) => void>();
  #events: HistoryEvent[] = [];
  #version = 1000;
  #compactedTo = 1000;

  /** The newest version. */
  get version(): number {
    return this.#version;
  }

  objects(kind: Kind): readonly ApiObject[] {
    return [...this.#of(kind).values()];
  }

  /** Creates or replaces the object. Returns its resourceVersion. */
  set(object: ApiObject): string {
    const key = keyOf(object.kind, object.metadata.name, object.metadata.namespace);
    const type = this.#of(object.kind).has(key) ? 'MODIFIED' : 'ADDED';
    const stored = this.#next(object);
    this.#of(object.kind).set(key, stored);
    this.#record({ type, version: this.#version, object: stored });
    return String(this.#version);
  }

  /** Returns whether there was such an object. */
  delete(kind: Kind, namespace: string | undefined, name: string): boolean {
    const key = keyOf(kind, name, namespace);
    const object = this.#of(kind).get(key);
    if (object === undefined) return false;
    this.#of(kind).delete(key);
    this.#record({ type: 'DELETED', object: this.#next(object), version: this.#version });
    return true;
  }

  /** Forgets every event so far. */
  compact(): void {
    this.#events = [];
    this.#compactedTo = this.#version;
  }

  /**
   * Sets the version counter back, as after a restore of the storage from a backup. Objects stay as
   * they are.
   */
  rewind(version: number): void {
    this.#version = version;
    this.compact();
  }

  /** Returns the events after a version; undefined if they are no longer kept. */
  since(version: number, kind: Kind): readonly HistoryEvent[] | undefined {
    if (version < this.#compactedTo) return undefined;
    return this.#events.filter((event) => event.version > version && event.object.kind === kind);
  }

  /** Returns the function that ends it. */
  listen(listener: (event: HistoryEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #of(kind: Kind): Map<string, ApiObject> {
    const objects = this.#objects.get(kind) ?? new Map<string, ApiObject>();
    this.#objects.set(kind, objects);
    return objects;
  }

  #next(object: ApiObject): ApiObject {
    this.#version++;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
  }

  #record(event: HistoryEvent): void {
    this.#events.push(event);
    if (this.#events.length > 2 * MAX_EVENTS) {
      this.#events = this.#events.slice(-MAX_EVENTS);
      this.#compactedTo = this.#events[0]?.version ?? this.#version;
    }
    for (const listener of this.#listeners) listener(event);
  }
}

function keyOf(kind: Kind, name: string, namespace: string | undefined): string {
  return kind === 'Namespace' ? name : `${namespace ?? 'default'}/${name}`;
}
