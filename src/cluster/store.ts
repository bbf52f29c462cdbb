/** The cluster's records by kind and key, and the changes between two states of them. */
import { type ClusterRecord, type NamespaceRecord, type PodRecord, type PolicyRecord, recordKey } from './records.ts';

export interface ClusterChange {
  readonly type: 'set' | 'delete';
  /** The record as it is after a `set`, or as it last was before a `delete`. */
  readonly record: ClusterRecord;
}

/**
 * What has changed since it was last called, in the order in which it must be applied: deletes
 * first, at most one change a record.
 */
export type TakeChanges = () => readonly ClusterChange[];

/**
 * Called when there are changes to take, and not again until they are taken. Until then they stay
 * with their source.
 * @param receivedAt when the first of them was received, in ms of performance.now()
 */
export type OnChanges = (take: TakeChanges, receivedAt: number) => void;

export interface ClusterSnapshot {
  readonly namespaces: readonly NamespaceRecord[];
  readonly pods: readonly PodRecord[];
  readonly policies: readonly PolicyRecord[];
}

/** A record that changes of a batch concern, as it is before and after the batch. */
interface Difference {
  readonly before: ClusterRecord | undefined;
  after: ClusterRecord | undefined;
}

/**
 * The records of the cluster. Sources repeat themselves (a relist, a status update of a field that
 * is not projected). The store returns only real differences, so that nothing downstream works in
 * vain.
 */
export class ClusterStore {
  readonly #namespaces = new Map<string, NamespaceRecord>();
  readonly #pods = new Map<string, PodRecord>();
  readonly #policies = new Map<string, PolicyRecord>();

  /**
   * Applies the changes in order and returns the net differences, at most one per record. Deletes
   * come first, because an address of a deleted pod may belong to a new pod of the same batch.
   */
  apply(changes: readonly ClusterChange[]): readonly ClusterChange[] {
    const differences = new Map<string, Difference>();
    for (const { type, record } of changes) {
      const key = recordKey(record);
      const records = this.#recordsOf(record);
      const identity = `${record.kind} ${key}`;
      let difference = differences.get(identity);
      if (difference === undefined) {
        difference = { before: records.get(key), after: undefined };
        differences.set(identity, difference);
      }
      if (type === 'set') {
        // Keep the same object if nothing changed.
        difference.after =
          difference.before !== undefined && sameRecord(difference.before, record) ? difference.before : record;
        records.set(key, difference.after);
      } else {
        difference.after = undefined;
        records.delete(key);
      }
    }
    return netChanges(differences.values());
  }

  /** Replaces everything with the snapshot, and returns the differences, deletes first. */
  replace(snapshot: ClusterSnapshot): readonly ClusterChange[] {
    const known = [...this.#policies.values(), ...this.#pods.values(), ...this.#namespaces.values()];
    const wanted = [...snapshot.namespaces, ...snapshot.pods, ...snapshot.policies];
    return this.apply([
      ...known.map((record): ClusterChange => ({ type: 'delete', record })),
      ...wanted.map((record): ClusterChange => ({ type: 'set', record })),
    ]);
  }

  snapshot(): ClusterSnapshot {
    return {
      namespaces: [...this.#namespaces.values()],
      pods: [...this.#pods.values()],
      policies: [...this.#policies.values()],
    };
  }

  #recordsOf(record: ClusterRecord): Map<string, ClusterRecord> {
    switch (record.kind) {
      case 'Namespace':
        return this.#namespaces as Map<string, ClusterRecord>;
      case 'Pod':
        return this.#pods as Map<string, ClusterRecord>;
      case 'NetworkPolicy':
        return this.#policies as Map<string, ClusterRecord>;
    }
  }
}

function netChanges(differences: Iterable<Difference>): readonly ClusterChange[] {
  const deletes: ClusterChange[] = [];
  const sets: ClusterChange[] = [];
  for (const { before, after } of differences) {
    if (after === before) continue;
    if (after !== undefined) sets.push({ type: 'set', record: after });
    else if (before !== undefined) deletes.push({ type: 'delete', record: before });
  }
  return [...deletes, ...sets];
}

/**
 * Deep equality of plain JSON values. The order of keys does not count; the order of list elements
 * does.
 */
export function sameRecord(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((element, index) => sameRecord(element, b[index]));
  }
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every(
    (key) =>
      Object.hasOwn(b, key) && sameRecord((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
  );
}
